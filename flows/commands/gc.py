"""What no kept run refers to, and its removal."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.runs.record import REFINER, STARTED, RunRecord, all_runs, remove_run
from storage.files import get, remove
from storage.inventory import StoredArtefact, StoredFile, artefact_key, artefacts_in, files_below
from storage.metrics import read_table
from storage.removal import remove_artefact
from storage.staging import find_abandoned
from storage.store import Store, remove_abandoned_staging
from tasks.caching import RECORDS, handle_in_record
from tasks.errors import InputError

CHECKPOINTS = "checkpoints"
CLOCKS_DIFFER = timedelta(hours=1)
"""At most, between the machine that began a run and what says when its files were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What goes: runs that were given up, and what no other run refers to."""

    runs: tuple[str, ...]
    records: tuple[StoredFile, ...]
    """Of finished stages, by which Prefect would recall them."""
    artefacts: tuple[StoredArtefact, ...]
    checkpoints: tuple[StoredFile, ...]
    staging: tuple[Path, ...]
    """Folders on this machine whose writers were killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    name: str
    began: datetime
    ended: bool
    """Each of its scenes has a row that says how it ended."""
    completed: bool


def find_garbage(
    store: Store,
    *,
    drop: Collection[str] = (),
    keep_runs: int | None = None,
    is_going_on: Callable[[str], bool],
    age: timedelta,
) -> Garbage:
    """What could be removed from a store.

    Args:
        drop: names of runs that are given up.
        keep_runs: give up all but so many of the last runs; one whose scenes have not all ended
            or that is going on stays.
        is_going_on: whether the run of a name is being worked on.
        age: what was written since is left, because a scene that goes on may need it.

    Raises:
        InputError: a run of ``drop`` is not there, or is going on.
        IntegrityError: a table or the record of a run is damaged, so what they refer to is unknown.
        StoreError: the store cannot be reached.
    """
    runs = _runs(store)
    dropped = _dropped(store, runs, drop, keep_runs, is_going_on)
    before = datetime.now(UTC) - age
    kept = _references(store, dropped)
    artefacts = [one for one in artefacts_in(store) if one.key not in kept]
    records = [one for one in files_below(store, RECORDS) if _target(store, one) not in kept]
    kept_runs = [run for run in runs if run.name not in dropped]
    return Garbage(
        runs=tuple(dropped),
        records=tuple(one for one in records if one.modified <= before),
        artefacts=tuple(one for one in artefacts if one.modified <= before),
        checkpoints=tuple(one for one in _stale(store, kept_runs) if one.modified <= before),
        staging=tuple(find_abandoned(store.staging)),
    )


def remove_garbage(store: Store, garbage: Garbage) -> Iterator[str]:
    """Remove it, a step at a time; what is gone, in words.

    What refers goes before what it refers to: cut off anywhere, no run and no recalled stage points
    at an artefact that is gone, and the next removal finds the rest.

    Raises:
        StoreError: the store cannot be written.
    """
    for name in garbage.runs:
        remove_run(store, name)
        yield f"run {name}"
    for record in garbage.records:
        remove(store, record.key)
        yield record.key
    # A scene may have recalled one of them until its record went.
    kept = _references(store, garbage.runs)
    for artefact in garbage.artefacts:
        if artefact.key not in kept:
            remove_artefact(store, artefact)
            yield artefact.key
    for checkpoint in garbage.checkpoints:
        remove(store, checkpoint.key)
        yield checkpoint.key
    remove_abandoned_staging(store)
    yield from map(str, garbage.staging)


def bytes_of(garbage: Garbage) -> Mapping[str, tuple[int, int]]:
    """How many there are of each kind, and how many bytes they take; runs are few bytes."""
    kinds: Mapping[str, Sequence[int]] = {
        "runs": [0 for _ in garbage.runs],
        "records of stages": [one.size for one in garbage.records],
        "artefacts": [one.size for one in garbage.artefacts],
        "checkpoints": [one.size for one in garbage.checkpoints],
        "folders of killed writers": [_folder_bytes(folder) for folder in garbage.staging],
    }
    return {kind: (len(sizes), sum(sizes)) for kind, sizes in kinds.items()}


def _folder_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _runs(store: Store) -> Sequence[_Run]:
    """All runs in the order in which they began, those included that lost their record, and
    trainings of refiners, which have none."""
    rows = read_table(store, "scenes")
    stages = read_table(store, "stages")
    found = {}
    for record in all_runs(store):
        of_run = rows[rows["run"] == record.run]
        states = dict(zip(of_run["scene"], of_run["state"], strict=True))
        found[record.run] = _recorded(record, states)
    trainings = rows[rows["scene"] == REFINER].set_index("run")["state"].to_dict()
    for table in (rows, stages):
        for name, written_at in table.groupby("run")["written_at"].min().items():
            state = trainings.get(name, "completed")
            unrecorded = _Run(
                name=str(name),
                began=written_at.to_pydatetime(),
                ended=state != STARTED,
                completed=state == "completed",
            )
            found.setdefault(unrecorded.name, unrecorded)
    return sorted(found.values(), key=lambda run: (run.began, run.name))


def _recorded(record: RunRecord, states: Mapping[str, str]) -> _Run:
    return _Run(
        name=record.run,
        began=datetime.fromisoformat(record.created_at),
        ended=set(record.scenes) <= set(states),
        completed=all(states.get(scene) == "completed" for scene in record.scenes),
    )


def _dropped(
    store: Store,
    runs: Sequence[_Run],
    drop: Collection[str],
    keep_runs: int | None,
    is_going_on: Callable[[str], bool],
) -> Sequence[str]:
    names = [run.name for run in runs]
    if unknown := sorted(set(drop) - set(names)):
        raise InputError(
            f"the store {store.root} has no run {', '.join(map(repr, unknown))}, so nothing was "
            f"removed; the last ones are: {', '.join(names[-5:])}"
        )
    for name in drop:
        if is_going_on(name):
            raise InputError(
                f"the run '{name}' is going on, and its results would be removed while they are "
                f"written; wait for its end, see 'unseen status {name}'"
            )
    given_up = set(drop)
    if keep_runs is not None:
        if keep_runs < 0:
            raise InputError(f"{keep_runs} runs cannot be kept; give 0 or more")
        old = runs[: max(0, len(runs) - keep_runs)]
        given_up |= {run.name for run in old if run.ended and not is_going_on(run.name)}
    return [name for name in names if name in given_up]


def _references(store: Store, dropped: Collection[str]) -> frozenset[str]:
    """Keys of the artefacts of all runs but those given up."""
    stages = read_table(store, "stages")
    kept = stages[~stages["run"].isin(list(dropped)) & stages["uri"].notna()]
    return frozenset(map(artefact_key, kept["uri"]))


def _target(store: Store, record: StoredFile) -> str:
    """The key of the artefact that a record recalls; empty where it recalls none."""
    try:
        return artefact_key(handle_in_record(get(store, record.key)).uri)
    except (FileNotFoundError, ValueError):
        return ""


def _stale(store: Store, kept: Sequence[_Run]) -> Sequence[StoredFile]:
    """Checkpoints that no kept run will go on from.

    Their keys are those of their stages, and do not tell whose they are. Those of finished stages
    are done with, and the others belong to runs with scenes that have not completed, and were
    written since these began, as far as clocks agree: that of S3 tells whole seconds.
    """
    finished = {record.key.removeprefix(f"{RECORDS}/") for record in files_below(store, RECORDS)}
    open_since = min((run.began for run in kept if not run.completed), default=None)
    return [
        one
        for one in files_below(store, CHECKPOINTS)
        if open_since is None
        or one.modified < open_since - CLOCKS_DIFFER
        or one.key.removeprefix(f"{CHECKPOINTS}/") in finished
    ]
