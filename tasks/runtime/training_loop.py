"""The loop of every optimisation: steps, progress, and checkpoints that survive a kill."""

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from tasks.errors import DivergedError, InputError
from tasks.runtime.checkpoints import SavedState
from tasks.runtime.context import Context

Batch = TypeVar("Batch")
Batch_contra = TypeVar("Batch_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStats:
    """The stand of an optimisation after a step."""

    iteration: int
    """Number of steps taken."""
    share: float
    """Finished share of the optimisation, 0..1."""
    doing: str | None = None
    """Description of the stand; None where it is not worth showing again."""


@runtime_checkable
class Trainer(Protocol[Batch_contra, Result_co]):
    """An optimisation, one step at a time."""

    iteration: int
    """Number of steps taken."""

    @property
    def state_type(self) -> type[SavedState]:
        """The class of its states."""
        ...

    def share(self) -> float:
        """Finished share of the optimisation; 1 at its end."""
        ...

    def step(self, batch: Batch_contra) -> StepStats:
        """Take a step.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        ...

    def state(self) -> SavedState:
        """The state that the remaining steps depend on; it may share tensors with the trainer."""
        ...

    def resume(self, state: Any) -> None:
        """Continue from a state of ``state_type``, of a trainer made from equal arguments."""
        ...

    def result(self) -> Result_co:
        """The result of the steps taken.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        ...


def run_training(
    trainer: Trainer[Batch, Result_co],
    batches: Callable[[int], Generator[Batch, None, None]],
    context: Context,
) -> Result_co:
    """Take the remaining steps of an optimisation, from its checkpoint if there is one.

    A checkpoint of an optimisation that fails is discarded, since resuming would fail again.

    Args:
        batches: the batches from the step of that index on, at least as many as remain.

    Raises:
        DivergedError: the loss stopped being finite.
        InputError: the trainer refused its input.
    """
    checkpoints = context.checkpoints
    if (saved := checkpoints.load(trainer.state_type)) is not None:
        trainer.resume(saved)
    del saved  # as large as all that is optimised
    if checkpoints.note:
        context.progress(trainer.share(), checkpoints.note)
    try:
        with contextlib.closing(batches(trainer.iteration)) as upcoming:
            while trainer.share() < 1:
                stats = trainer.step(next(upcoming))
                if stats.doing is not None:
                    note = f", {checkpoints.note}" if checkpoints.note else ""
                    context.progress(stats.share, stats.doing + note)
                if checkpoints.due():
                    checkpoints.save(trainer.state())
        return trainer.result()
    except (DivergedError, InputError):
        checkpoints.discard()
        raise
