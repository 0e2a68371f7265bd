"""Where an optimisation stands: kept every so many seconds, and gone on from after a kill."""

import contextlib
import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, BinaryIO, Generic, TypeVar

import torch
from jaxtyping import Float32, UInt8

from storage.checkpoints import Checkpoint
from storage.errors import IntegrityError, StoreError
from tasks.runtime.context import Site

LARGEST_SHARE = 0.01
"""Of the time that writing checkpoints may take, however slow the store is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptState:
    """The base of all states: dataclasses of tensors, mappings of them, and plain values."""

    iteration: int
    """How many were taken."""


State = TypeVar("State", bound=KeptState)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DescentState(KeptState):
    """All that the rest of an optimisation depends on, beside what it was called with."""

    parameters: Mapping[str, torch.Tensor]
    optimisers: Mapping[str, Mapping[str, Any]]
    """``state_dict()`` of the optimiser of each parameter: moments, steps, learning rate."""
    strategy: Mapping[str, Any]
    """The running state of gsplat's strategy."""
    photo_terms: Mapping[str, Mapping[str, Any]]
    """Of what each photo has of its own: values, and ``state_dict()`` of their optimiser."""
    generators: tuple[UInt8[torch.Tensor, " _"], ...]
    """States of torch's global generators: of the CPU, then of the CUDA device in use."""
    losses: Float32[torch.Tensor, " l"]
    """Of the iterations since the last point of the curve."""
    points: tuple[tuple[int, float, int, float], ...]
    """Of the curve: iteration, loss, Gaussians, score."""


class Checkpoints(Generic[State]):
    """Where an optimisation keeps its state, and finds that of one that was cut off.

    This one keeps nothing.
    """

    note: str = ""
    """What to tell beside the progress; empty for nothing."""

    def load(self) -> State | None:
        """The state to go on from, the caller's own; None to start at the beginning."""
        return None

    def due(self) -> bool:
        """Whether it is time to save."""
        return False

    def save(self, state: State) -> None:
        """Keep a state; its tensors may change after the call."""

    def discard(self) -> None:
        """Forget what was kept: it leads nowhere, or its end is reached."""


NO_CHECKPOINTS: Checkpoints[Any] = Checkpoints()
"""The default of every ``checkpoints`` argument."""


@dataclass(slots=True, kw_only=True)
class StoredCheckpoints(Checkpoints[State]):
    """Kept in the store. A checkpoint that is of no use is passed over, and the note says why."""

    place: Checkpoint
    seconds: float
    """Between two checkpoints; longer where writing one takes longer than its share of time."""
    kind: type[Any] = DescentState
    """Of the states."""
    note: str = field(default="", init=False)
    _due_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._due_at = time.monotonic() + self.seconds

    def load(self) -> State | None:
        """
        Raises:
            StoreError: the store cannot be reached.
        """
        try:
            content = self.place.load()
            state = None if content is None else read_state(content, self.kind)
        except IntegrityError as error:
            self.note = str(error)
            return None
        if state is not None:
            self.note = f"resumed at iteration {state.iteration}"
        return state

    def due(self) -> bool:
        return time.monotonic() >= self._due_at

    def save(self, state: State) -> None:
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
def checkpoints_of(
    site: Site, stage_key: str | None, kind: type[State]
) -> Iterator[Checkpoints[State]]:
    """The checkpoints of a stage, which go when the block ends well.

    Args:
        kind: of its states.
        stage_key: tells all that changes the stage's result; None keeps nothing.
    """
    if stage_key is None or site.checkpoint_seconds == 0:
        yield NO_CHECKPOINTS
        return
    place = Checkpoint(store=site.store, key=stage_key)
    kept: StoredCheckpoints[State] = StoredCheckpoints(
        place=place, seconds=site.checkpoint_seconds, kind=kind
    )
    yield kept
    kept.discard()


def write_state(state: KeptState, file: BinaryIO) -> None:
    """In torch's own format, without a copy of the tensors.

    Raises:
        OSError: the file does not take it.
    """
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
    try:
        return kind(**torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises of every kind
        raise IntegrityError(
            f"the checkpoint of {len(content)} bytes is not what this version writes "
            f"({type(error).__name__}); the stage starts from its beginning"
        ) from error
