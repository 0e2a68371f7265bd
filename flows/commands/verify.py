"""Verification of a store: every object against its recorded sha256."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

import pandas as pd

from flows.commands.gc import CHECKPOINTS
from flows.runs.record import check_has_scenes, check_not_empty, load_run, run_faults
from storage.checkpoints import Checkpoint
from storage.errors import IntegrityError
from storage.files import get
from storage.handles import MANIFEST, ArrayHandle
from storage.inventory import StoredArtefact, artefact_key, artefacts_in, files_below
from storage.metrics import read_table, table_faults
from storage.store import Store
from tasks.errors import InputError
from tasks.runtime.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One damaged or missing item."""

    scene: str
    """Empty if it belongs to no single scene."""
    kind: str
    """Kind of an artefact; or run, table, checkpoint."""
    message: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return (
            f"{self.kind} of scene '{self.scene}': {self.message}" if self.scene else self.message
        )


def verify(store: Store, run: str | None, progress: Progress) -> Iterator[Fault]:
    """Read a store, or the results of one run, and check every digest.

    Args:
        progress: called with the fraction of bytes read, and the next artefact.

    Raises:
        InputError: there is nothing to check: the store is empty or does not exist, the run does
            not, has no scenes, or no stage of it has a result.
        StoreError: the store cannot be reached.
    """
    check_not_empty(store)
    if run is not None:
        _check_known(store, run)
    for error in run_faults(store, run):
        yield Fault(scene="", kind="run", message=str(error))
    unreadable = list(table_faults(store, run))
    for error in unreadable:
        yield Fault(scene="", kind="table", message=str(error))
    promised = {} if unreadable else _promised(store, run)
    if run is not None and not promised and not unreadable:
        raise InputError(
            f"no stage of the run '{run}' has a result, so nothing of it was checked; see 'unseen "
            f"status {run}' for why, and 'unseen resume {run}'"
        )
    yield from _artefacts(store, run, promised, progress)
    if run is None:
        for file in files_below(store, CHECKPOINTS):
            try:
                Checkpoint(store=store, key=file.key.removeprefix(f"{CHECKPOINTS}/")).load()
            except IntegrityError as error:
                yield Fault(scene="", kind="checkpoint", message=str(error))


def _check_known(store: Store, run: str) -> None:
    """
    Raises:
        InputError: the run has neither a record nor rows, or has no scenes.
    """
    try:
        check_has_scenes(load_run(store, run))
    except IntegrityError:  # of a record, which is named below
        return
    except InputError:
        if read_table(store, "scenes", run=run, columns=("scene",)).empty:
            raise


def _promised(store: Store, run: str | None) -> Mapping[str, tuple[str, str]]:
    """Scene and digest of each referenced artefact, by its key."""
    columns = ("scene", "digest", "uri")
    stages: pd.DataFrame = read_table(store, "stages", run=run, columns=columns)
    rows = stages[stages["digest"].notna()].to_dict("records")
    return {artefact_key(row["uri"]): (row["scene"], row["digest"]) for row in rows}


def _artefacts(
    store: Store, run: str | None, promised: Mapping[str, tuple[str, str]], progress: Progress
) -> Iterator[Fault]:
    stored = {one.key: one for one in artefacts_in(store)}
    for key in sorted(set(promised) - set(stored)):
        scene, _ = promised[key]
        yield Fault(
            scene=scene,
            kind=key.split("/")[2],
            message=f"{store.address(key)} is missing; run the scene again, its stage will be "
            "recomputed",
        )
    read = [one for key, one in sorted(stored.items()) if run is None or key in promised]
    total, done = sum(one.size for one in read), 0
    for artefact in read:
        progress(done / total if total else 1.0, artefact.key)
        scene, digest = promised.get(artefact.key, (artefact.scene, None))
        for error in _faults(store, artefact, digest):
            yield Fault(scene=scene, kind=artefact.kind, message=str(error))
        done += artefact.size
    progress(1.0, f"{len(read)} artefacts")


def _faults(store: Store, artefact: StoredArtefact, digest: str | None) -> Iterator[IntegrityError]:
    uri = store.address(artefact.key)
    if digest is None:  # unreferenced: its name holds the first digits
        try:
            digest = sha256(get(store, f"{artefact.key}/{MANIFEST}")).hexdigest()
        except FileNotFoundError:
            yield IntegrityError(
                f"{uri} has no {MANIFEST}, so its writing was interrupted or is in progress; "
                "'unseen gc' removes it unless it is being written"
            )
            return
        if not digest.startswith(artefact.digest16):
            yield IntegrityError(
                f"{uri}/{MANIFEST}: expected sha256 {artefact.digest16[:12]}, found {digest[:12]}; "
                "no run refers to it, 'unseen gc' removes it"
            )
            return
    yield from ArrayHandle(uri=uri, kind=artefact.kind, digest=digest).faults()
