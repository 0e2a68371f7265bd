"""Everything in a store held against what was promised of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

import pandas as pd

from flows.commands.gc import CHECKPOINTS
from flows.runs.record import run_faults
from storage.checkpoints import Checkpoint
from storage.errors import IntegrityError
from storage.files import get
from storage.handles import MANIFEST, ArrayHandle
from storage.inventory import StoredArtefact, artefact_key, artefacts_in, files_below
from storage.metrics import read_table, table_faults
from storage.store import Store
from tasks.runtime.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is damaged or missing."""

    scene: str
    """Empty where it is of no one scene."""
    kind: str
    """Of an artefact; or run, table, checkpoint."""
    message: str
    """What was found, and what to do."""

    def __str__(self) -> str:
        return (
            f"{self.kind} of scene '{self.scene}': {self.message}" if self.scene else self.message
        )


def verify(store: Store, run: str | None, progress: Progress) -> Iterator[Finding]:
    """Read all of a store, or of what one run refers to, and check every digest.

    Args:
        progress: told of the share of bytes read, and of what is read next.

    Raises:
        StoreError: the store cannot be reached.
    """
    for error in run_faults(store, run):
        yield Finding(scene="", kind="run", message=str(error))
    unreadable = list(table_faults(store, run))
    for error in unreadable:
        yield Finding(scene="", kind="table", message=str(error))
    yield from _artefacts(store, run, {} if unreadable else _promised(store, run), progress)
    if run is None:
        for file in files_below(store, CHECKPOINTS):
            try:
                Checkpoint(store=store, key=file.key.removeprefix(f"{CHECKPOINTS}/")).load()
            except IntegrityError as error:
                yield Finding(scene="", kind="checkpoint", message=str(error))


def _promised(store: Store, run: str | None) -> Mapping[str, tuple[str, str]]:
    """Scene and digest of each artefact that runs refer to, by its key."""
    stages: pd.DataFrame = read_table(store, "stages", run=run)
    rows = stages[stages["digest"].notna()].to_dict("records")
    return {artefact_key(row["uri"]): (row["scene"], row["digest"]) for row in rows}


def _artefacts(
    store: Store, run: str | None, promised: Mapping[str, tuple[str, str]], progress: Progress
) -> Iterator[Finding]:
    stored = {one.key: one for one in artefacts_in(store)}
    for key in sorted(set(promised) - set(stored)):
        scene, _ = promised[key]
        yield Finding(
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
            yield Finding(scene=scene, kind=artefact.kind, message=str(error))
        done += artefact.size
    progress(1.0, f"{len(read)} artefacts")


def _faults(store: Store, artefact: StoredArtefact, digest: str | None) -> Iterator[IntegrityError]:
    uri = store.address(artefact.key)
    if digest is None:  # no run refers to it: its name gives the first digits
        try:
            digest = sha256(get(store, f"{artefact.key}/{MANIFEST}")).hexdigest()
        except FileNotFoundError:
            yield IntegrityError(
                f"{uri} has no {MANIFEST}, so its writing was cut off or goes on; 'unseen gc' "
                "removes it where nobody writes it"
            )
            return
        if not digest.startswith(artefact.digest16):
            yield IntegrityError(
                f"{uri}/{MANIFEST}: expected sha256 {artefact.digest16[:12]}, found {digest[:12]}; "
                "no run refers to it, 'unseen gc' removes it"
            )
            return
    yield from ArrayHandle(uri=uri, kind=artefact.kind, digest=digest).faults()
