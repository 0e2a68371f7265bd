"""The record of a run: what was asked for, so that it can be resumed, watched and reported."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.manifest import MANIFESTS
from storage.arrays import Store
from storage.files import get, names_in, put
from storage.metrics import read_table
from storage.names import object_name
from tasks.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One call of ``unseen run`` or ``unseen scene``."""

    run: str
    dataset: str
    only: tuple[str, ...]
    scenes: tuple[str, ...]
    config: dict[str, Any]
    created_at: str
    folder: str | None = None
    """Of the photos, where the run is one scene by ``unseen scene``."""


def new_run_name(dataset: Path, now: datetime | None = None) -> str:
    """Dataset and second: readable, and in the order of time."""
    return f"{name_of(dataset)}-{(now or datetime.now(UTC)):%Y%m%d-%H%M%S}"


def name_of(dataset: Path) -> str:
    """What people call a dataset: its folder's name."""
    resolved = dataset.resolve()  # for '.' and '..'
    name = resolved.parent.name if resolved.name in MANIFESTS else resolved.name
    return name or "root"


def tag_of(run: str) -> str:
    """The tag in Prefect of all flow runs of a run's scenes."""
    return f"run:{run}"


def dataset_tag(dataset: Path) -> str:
    """The tag in Prefect of all flow runs of a dataset."""
    return f"dataset:{name_of(dataset)}"


def tags_of(record: RunRecord, scene: str) -> list[str]:
    """The tags in Prefect of a scene's flow run and of its stages."""
    return [tag_of(record.run), dataset_tag(Path(record.dataset)), f"scene:{scene}"]


def lock_of(run: str) -> str:
    """The lock that the process of ``unseen run`` holds while the run goes on."""
    return f"run-{object_name(run)}"


def refusal_of(run: str) -> str:
    """What is said where that lock is held."""
    return f"the run '{run}' is going on in another process; see 'unseen status {run}'"


def save_run(store: Store, record: RunRecord) -> None:
    """Write the record; a run of the same name is replaced."""
    content = json.dumps(asdict(record), indent=1).encode()
    put(store, f"runs/{object_name(record.run)}.json", content)


def load_run(store: Store, run: str | None = None) -> RunRecord:
    """The named run, else the last one.

    Raises:
        InputError: there is none.
    """
    records = _all_runs(store)
    if not records:
        raise InputError(f"the store {store.root} has no runs yet; start one with 'unseen run'")
    if run is None:
        return records[-1]
    for record in records:
        if record.run == run:
            return record
    names = ", ".join(record.run for record in records[-5:])
    raise InputError(f"the store {store.root} has no run '{run}'; the last ones are: {names}")


def is_known(store: Store, run: str) -> bool:
    """Whether the store has a record of the run."""
    return any(record.run == run for record in _all_runs(store))


def scenes_to_resume(store: Store, record: RunRecord, asked: Collection[str]) -> tuple[str, ...]:
    """The scenes that are asked for, completed ones too; where none is, the unfinished ones.

    Raises:
        InputError: the run has no such scene.
    """
    if unknown := sorted(set(asked) - set(record.scenes)):
        raise InputError(
            f"the run '{record.run}' has no scene {', '.join(map(repr, unknown))}; it has: "
            f"{', '.join(record.scenes)}"
        )
    return tuple(asked) or unfinished_scenes(store, record)


def unfinished_scenes(store: Store, record: RunRecord) -> tuple[str, ...]:
    """Scenes of a run that have no completed row: failed, crashed, cancelled or never started."""
    rows = read_table(store, "scenes", run=record.run)
    completed = set(rows.loc[rows["state"] == "completed", "scene"])
    return tuple(name for name in record.scenes if name not in completed)


def _all_runs(store: Store) -> Sequence[RunRecord]:
    records = []
    for name in names_in(store, "runs"):
        if not name.endswith(".json"):
            continue
        fields = json.loads(get(store, f"runs/{name}"))
        fields["only"], fields["scenes"] = tuple(fields["only"]), tuple(fields["scenes"])
        records.append(RunRecord(**fields))
    return sorted(records, key=lambda record: (record.created_at, record.run))
