"""Garbage collection of a store: results that no kept run refers to."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.runs.record import REFINER, STARTED, RunRecord, all_runs, remove_run
from storage.files import get, remove
from storage.inventory import (
    StoredArtefact,
    StoredFile,
    artefact_key,
    artefacts_in,
    files_below,
    remove_artefact,
)
from storage.metrics import read_table
from storage.names import object_name
from storage.staging import find_abandoned
from storage.store import Store, remove_abandoned_staging
from tasks.caching import RECORDS, handle_in_record
from tasks.errors import InputError
from tasks.sfm.features.cache import FEATURES, cache_store

CHECKPOINTS = "checkpoints"
CLOCKS_DIFFER = timedelta(hours=1)
"""Upper bound, between the machine that began a run and the one that dates its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """Runs that are given up, and everything that no other run refers to."""

    runs: tuple[str, ...]
    records: tuple[StoredFile, ...]
    """Cache records of finished stages."""
    artefacts: tuple[StoredArtefact, ...]
    checkpoints: tuple[StoredFile, ...]
    features: tuple[StoredFile, ...]
    """Of photos and pairs of scenes that no kept run has; of a store at a URL, on this machine."""
    staging: tuple[Path, ...]
    """Folders of killed writers on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    name: str
    began: datetime
    ended: bool
    """Whether each of its scenes has a row with its outcome."""
    completed: bool


def find_garbage(
    store: Store,
    *,
    drop: Collection[str] = (),
    keep_runs: int | None = None,
    is_ongoing: Callable[[str], bool],
    age: timedelta,
) -> Garbage:
    """Everything that could be removed from a store.

    Args:
        drop: names of runs to give up.
        keep_runs: number of newest runs to keep, with any that are active or have scenes that have
            not ended; None to keep all.
        is_ongoing: whether a run, by name, is active.
        age: anything younger is kept, since active scenes may need it.

    Raises:
        InputError: a run of ``drop`` does not exist, or is active.
        IntegrityError: a table or the record of a run is damaged, so its references are unknown.
        StoreError: the store cannot be reached.
    """
    runs = _runs(store)
    dropped = _dropped(store, runs, drop, keep_runs, is_ongoing)
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
        features=tuple(one for one in _features(store, dropped) if one.modified <= before),
        staging=tuple(find_abandoned(store.staging)),
    )


def remove_garbage(store: Store, garbage: Garbage) -> Iterator[str]:
    """Remove garbage step by step; the name of each removed item.

    References are removed before their targets: after an interruption at any point, no run and no
    cache record points at a missing artefact, and the next removal finds the rest.

    Raises:
        StoreError: the store cannot be written.
    """
    for name in garbage.runs:
        remove_run(store, name)
        yield f"run {name}"
    for record in garbage.records:
        remove(store, record.key)
        yield record.key
    # A scene may have used a cached artefact until its record was removed.
    kept = _references(store, garbage.runs)
    for artefact in garbage.artefacts:
        if artefact.key not in kept:
            remove_artefact(store, artefact)
            yield artefact.key
    for checkpoint in garbage.checkpoints:
        remove(store, checkpoint.key)
        yield checkpoint.key
    for entry in garbage.features:
        remove(cache_store(store), entry.key)
        yield entry.key
    remove_abandoned_staging(store)
    yield from map(str, garbage.staging)


def bytes_of(garbage: Garbage) -> Mapping[str, tuple[int, int]]:
    """Count and bytes of each kind; the bytes of a run's record are neglected."""
    kinds: Mapping[str, Sequence[int]] = {
        "runs": [0 for _ in garbage.runs],
        "records of stages": [one.size for one in garbage.records],
        "artefacts": [one.size for one in garbage.artefacts],
        "checkpoints": [one.size for one in garbage.checkpoints],
        "features and matches": [one.size for one in garbage.features],
        "folders of killed writers": [_folder_bytes(folder) for folder in garbage.staging],
    }
    return {kind: (len(sizes), sum(sizes)) for kind, sizes in kinds.items()}


def print_garbage(garbage: Garbage, *, listed: bool) -> None:
    """Print the count and size of each kind.

    Args:
        listed: whether to print each name first, and the option that removes them.
    """
    if listed:
        names = [f"run {run}" for run in garbage.runs]
        names += [file.key for file in garbage.records]
        names += [artefact.key for artefact in garbage.artefacts]
        names += [file.key for file in garbage.checkpoints]
        names += [file.key for file in garbage.features]
        names += [str(folder) for folder in garbage.staging]
        for name in names:
            print(name)
    found = [(kind, count, size) for kind, (count, size) in bytes_of(garbage).items() if count]
    for kind, count, size in found:
        print(f"{kind}: {count}, {size / 2**20:.1f} MiB")
    if not found:
        print("nothing to remove")
    elif listed:
        print("nothing was removed; add --delete to remove the listed items")


def _folder_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _runs(store: Store) -> Sequence[_Run]:
    """All runs, oldest first, including those without a record: its file was lost, or the run is a
    training of a refiner."""
    rows = read_table(store, "scenes", columns=("run", "scene", "written_at", "state"))
    stages = read_table(store, "stages", columns=("run", "written_at"))
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
    is_ongoing: Callable[[str], bool],
) -> Sequence[str]:
    names = [run.name for run in runs]
    if unknown := sorted(set(drop) - set(names)):
        raise InputError(
            f"the store {store.root} has no run {', '.join(map(repr, unknown))}, so nothing was "
            f"removed; the last ones are: {', '.join(names[-5:])}"
        )
    for name in drop:
        if is_ongoing(name):
            raise InputError(
                f"the run '{name}' is active, so its results cannot be removed; wait for its end, "
                f"see 'unseen status {name}'"
            )
    given_up = set(drop)
    if keep_runs is not None:
        if keep_runs < 0:
            raise InputError(f"--keep-runs is {keep_runs}, below 0; give 0 or more")
        old = runs[: max(0, len(runs) - keep_runs)]
        given_up |= {run.name for run in old if run.ended and not is_ongoing(run.name)}
    return [name for name in names if name in given_up]


def _references(store: Store, dropped: Collection[str]) -> frozenset[str]:
    """Keys of the artefacts of all runs except the dropped ones."""
    stages = read_table(store, "stages", columns=("run", "uri"))
    kept = stages[~stages["run"].isin(list(dropped)) & stages["uri"].notna()]
    return frozenset(map(artefact_key, kept["uri"]))


def _target(store: Store, record: StoredFile) -> str:
    """The key of the artefact that a cache record refers to; empty if the record is unreadable."""
    try:
        return artefact_key(handle_in_record(get(store, record.key)).uri)
    except (FileNotFoundError, ValueError):
        return ""


def _stale(store: Store, kept: Sequence[_Run]) -> Sequence[StoredFile]:
    """Checkpoints that no kept run will resume from.

    Their keys are those of their stages and name no run. Checkpoints of finished stages are
    obsolete. All others belong to runs that have not completed and were written after the oldest of
    these began, within the difference of the clocks; S3 dates objects in whole seconds.
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


def _features(store: Store, dropped: Collection[str]) -> Sequence[StoredFile]:
    """Cached features and matches of scenes that no kept run has."""
    stages = read_table(store, "stages", columns=("run", "scene"))
    scenes = set(stages["scene"][~stages["run"].isin(list(dropped))])
    scenes.update(
        scene for one in all_runs(store) if one.run not in dropped for scene in one.scenes
    )
    kept = {object_name(scene) for scene in scenes}
    entries = files_below(cache_store(store), FEATURES)
    return [one for one in entries if one.key.split("/")[1] not in kept]
