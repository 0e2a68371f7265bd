"""The record of a run: its dataset, scenes and config, for resumption, status and report."""

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any

from flows.runs.passed_over import MANIFESTS
from storage import metrics
from storage.errors import IntegrityError
from storage.files import get, names_in, put, remove
from storage.inventory import is_empty
from storage.metrics import read_table
from storage.names import object_name
from storage.store import Store
from tasks.config import check_names
from tasks.errors import InputError

DIGEST = "sha256"
"""Field of a record's file with the digest of the other fields."""
REFINER = "refiner"
"""In place of a scene's name, in tables and paths, for the training of a refiner."""
STARTED = "started"
"""State of such a row while the training runs, and after it was killed; it has no run record."""


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
    """Folder of the photos, for a run of one scene by ``unseen scene``."""


def new_run_name(dataset: Path, now: datetime | None = None) -> str:
    """Dataset and time in seconds: readable, and sorted by time."""
    return f"{name_of(dataset)}-{(now or datetime.now(UTC)):%Y%m%d-%H%M%S}"


def name_of(dataset: Path) -> str:
    """The name of a dataset, which is its folder's."""
    resolved = dataset.resolve()  # for '.' and '..'
    name = resolved.parent.name if resolved.name in MANIFESTS else resolved.name
    return name or "root"


def tag_of(run: str) -> str:
    """The tag in Prefect of all flow runs of a run's scenes."""
    return f"run:{run}"


def dataset_tag(dataset: Path) -> str:
    """The tag in Prefect of all flow runs of a dataset."""
    return f"dataset:{name_of(dataset)}"


def scene_tag(scene: str) -> str:
    """The tag in Prefect of all flow runs of a scene."""
    return f"scene:{scene}"


def tags_of(record: RunRecord, scene: str) -> list[str]:
    """The tags in Prefect of a scene's flow run and of its stages."""
    return [tag_of(record.run), dataset_tag(Path(record.dataset)), scene_tag(scene)]


def lock_of(run: str) -> str:
    """Name of the lock that the process of an active run holds."""
    return f"run-{object_name(run)}"


def refusal_of(run: str) -> str:
    """Error message where that lock is held."""
    return f"the run '{run}' is active in another process; see 'unseen status {run}'"


def save_run(store: Store, record: RunRecord) -> None:
    """Write the record with its sha256; replaces a run of the same name."""
    fields = asdict(record)
    content = json.dumps({**fields, DIGEST: _digest(fields)}, indent=1).encode()
    put(store, _place(object_name(record.run)), content)


def remove_run(store: Store, run: str) -> None:
    """Delete the record, then the rows of the run."""
    remove(store, _place(object_name(run)))
    metrics.remove_run(store, run)


def load_run(store: Store, run: str | None = None) -> RunRecord:
    """The named run, else the last one.

    Raises:
        InputError: there is no such run, or none at all.
        IntegrityError: its record is damaged; if no run is named, any record.
    """
    if run is not None:
        with contextlib.suppress(FileNotFoundError):
            return _read(store, object_name(run))
    check_not_empty(store)
    records = all_runs(store)
    if not records:
        raise InputError(f"the store {store.root} has no runs yet; start one with 'unseen run'")
    if run is None:
        return records[-1]
    close = get_close_matches(run, [record.run for record in records], n=1)
    hint = f", did you mean '{close[0]}'? The" if close else "; the"
    names = ", ".join(record.run for record in records[-5:])
    raise InputError(f"the store {store.root} has no run '{run}'{hint} last ones are: {names}")


def check_not_empty(store: Store) -> None:
    """Refuse a store without results: its name may have a typo, and nothing in it is no success.

    Raises:
        InputError: it holds nothing, or does not exist.
        StoreError: it cannot be reached.
    """
    if is_empty(store):
        missing = store.local is not None and not store.local.exists()
        found = "does not exist" if missing else "has no runs and no results yet"
        raise InputError(
            f"the store {store.root} {found}, so there is nothing to look at; see that --store or "
            "UNSEEN_STORE names the one you mean; start a run with 'unseen run'"
        )


def check_has_scenes(record: RunRecord) -> None:
    """Refuse a run without scenes, none of which can have failed.

    Raises:
        InputError: it has none.
    """
    if not record.scenes:
        raise InputError(
            f"the run '{record.run}' has 0 scenes, so there is no result of it; see that its "
            f"dataset {record.dataset} holds scenes, then start it again"
        )


def is_known(store: Store, run: str) -> bool:
    """Whether the store has a record of the run."""
    return any(record.run == run for record in all_runs(store))


def scenes_to_resume(store: Store, record: RunRecord, names: Collection[str]) -> tuple[str, ...]:
    """The named scenes, completed ones included; without names, all unfinished scenes.

    Raises:
        InputError: the run has no such scene, or none at all.
    """
    check_has_scenes(record)
    check_names(names, record.scenes, where=f"the run '{record.run}'", kind="scene")
    return tuple(names) or unfinished_scenes(store, record)


def unfinished_scenes(store: Store, record: RunRecord) -> tuple[str, ...]:
    """Scenes of a run without a completed row: failed, crashed, cancelled or never started."""
    rows = read_table(store, "scenes", run=record.run, columns=("scene", "state"))
    completed = set(rows.loc[rows["state"] == "completed", "scene"])
    return tuple(name for name in record.scenes if name not in completed)


def all_runs(store: Store) -> Sequence[RunRecord]:
    """The records of all runs, oldest first.

    Raises:
        IntegrityError: one is damaged.
    """
    records = []
    for name in _names(store):
        with contextlib.suppress(FileNotFoundError):  # removed since
            records.append(_read(store, name))
    return sorted(records, key=lambda record: (record.created_at, record.run))


def run_faults(store: Store, run: str | None = None) -> Iterator[IntegrityError]:
    """An error for each damaged record, or for that of one run if damaged or missing."""
    for name in _names(store) if run is None else [object_name(run)]:
        try:
            _read(store, name)
        except IntegrityError as error:
            yield error
        except FileNotFoundError:
            yield IntegrityError(
                f"{store.address(_place(name))} is missing, so the run can be neither resumed nor "
                "reported; start it again under the same name"
            )


def _names(store: Store) -> Sequence[str]:
    """Names of all runs, as in paths."""
    listed = names_in(store, "runs")
    return [name.removesuffix(".json") for name in listed if name.endswith(".json")]


def _place(name: str) -> str:
    return f"runs/{name}.json"


def _digest(fields: Mapping[str, Any]) -> str:
    return sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _read(store: Store, name: str) -> RunRecord:
    """
    Raises:
        FileNotFoundError: there is no such record.
        IntegrityError: it is damaged.
    """
    content = get(store, _place(name))
    try:
        fields = json.loads(content)
        expected = fields.pop(DIGEST, None)  # absent in records of older versions
        if expected is not None and _digest(fields) != expected:
            raise ValueError("its sha256 is not the one in it")
        fields["only"], fields["scenes"] = tuple(fields["only"]), tuple(fields["scenes"])
        return RunRecord(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError(
            f"{store.address(_place(name))} of {len(content)} bytes is damaged ({error}), so the "
            "config of the run is lost; delete it and start the run again under the same name"
        ) from error
