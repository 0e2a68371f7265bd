"""Checkpoints of a long stage: its state, saved at intervals and resumed from after a kill."""

import contextlib
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from typing import BinaryIO, TypeVar

from storage.checkpoints import Checkpoint
from storage.errors import IntegrityError, StoreError
from storage.store import Store

LARGEST_SHARE = 0.01
"""Of the time that writing checkpoints may take, however slow the store is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedState:
    """The base of all states: dataclasses of tensors, mappings of them, and plain values."""

    iteration: int
    """How many were taken."""


State = TypeVar("State", bound=SavedState)


class Checkpoints:
    """Saves the state of a long stage, and loads that of a run that was cut off.

    This base class saves nothing: the default of :class:`tasks.runtime.context.Context`.
    """

    note: str = ""
    """A remark to show beside the progress; empty for none."""

    def load(self, kind: type[State]) -> State | None:
        """The state to resume from, owned by the caller; None to start at the beginning.

        Args:
            kind: class of the state; a checkpoint of another class is passed over.
        """
        return None

    def due(self) -> bool:
        """Whether it is time to save."""
        return False

    def save(self, state: SavedState) -> None:
        """Save a state; its tensors may change after the call."""

    def discard(self) -> None:
        """Remove the checkpoint: the stage finished, or its state leads nowhere."""


NO_CHECKPOINTS = Checkpoints()


@dataclass(slots=True, kw_only=True)
class StoredCheckpoints(Checkpoints):
    """Checkpoints in the store. A damaged one is passed over, and the note says why."""

    place: Checkpoint
    seconds: float
    """Between two checkpoints; longer where writing one takes longer than its share of time."""
    note: str = field(default="", init=False)
    _due_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._due_at = time.monotonic() + self.seconds

    def load(self, kind: type[State]) -> State | None:
        """
        Raises:
            StoreError: the store cannot be reached.
        """
        try:
            content = self.place.load()
            state = None if content is None else read_state(content, kind)
        except IntegrityError as error:
            self.note = str(error)
            return None
        if state is not None:
            self.note = f"resumed at iteration {state.iteration}"
        return state

    def due(self) -> bool:
        return time.monotonic() >= self._due_at

    def save(self, state: SavedState) -> None:
        started = time.monotonic()
        try:
            self.place.save(partial(write_state, state))
        except StoreError as error:  # the fit can do without; the artefact will tell if it cannot
            self.note = f"without a checkpoint: {error}"
        ended = time.monotonic()
        self._due_at = ended + max(self.seconds, (ended - started) / LARGEST_SHARE)

    def discard(self) -> None:
        with contextlib.suppress(StoreError):  # of no harm where it stays: its key is done with
            self.place.remove()


@contextlib.contextmanager
def checkpoints_in(store: Store, stage_key: str | None, seconds: float) -> Iterator[Checkpoints]:
    """The checkpoints of a stage, removed when the block ends without an error.

    Args:
        stage_key: cache key of the stage: everything that changes its result; None saves nothing.
        seconds: between two checkpoints; 0 saves nothing.
    """
    if stage_key is None or seconds == 0:
        yield NO_CHECKPOINTS
        return
    kept = StoredCheckpoints(place=Checkpoint(store=store, key=stage_key), seconds=seconds)
    yield kept
    kept.discard()


def write_state(state: SavedState, file: BinaryIO) -> None:
    """In torch's own format, without a copy of the tensors.

    Raises:
        OSError: the file does not take it.
    """
    import torch  # late: seconds to import, and a recalled stage needs none of it

    try:
        torch.save({part.name: getattr(state, part.name) for part in fields(state)}, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch hides what the file answered
            raise error.__context__ from None
        raise


def read_state(content: bytes, kind: type[State]) -> State:
    """What :func:`write_state` wrote of a state of that kind; all tensors on the CPU.

    Raises:
        IntegrityError: it is something else, or of a torch that this one does not read.
    """
    import torch  # late: as above

    try:
        return kind(**torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises of every kind
        raise IntegrityError(
            f"the checkpoint of {len(content)} bytes is not what this version writes "
            f"({type(error).__name__}); the stage starts from its beginning"
        ) from error
