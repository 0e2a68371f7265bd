"""The loop of every optimisation, with a trainer that adds numbers."""

from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from storage.checkpoints import Checkpoint
from storage.store import Store
from tasks.errors import DivergedError
from tasks.runtime.checkpoints import SavedState, StoredCheckpoints
from tasks.runtime.context import Context
from tasks.runtime.training_loop import StepStats, run_training


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SumState(SavedState):
    total: int


class Adding:
    """Adds ten batches; ends in an error at a batch of that number."""

    state_type = SumState

    def __init__(
        self, error_at: int | None = None, error: type[BaseException] = DivergedError
    ) -> None:
        self.iteration, self.total = 0, 0
        self.error_at, self.error = error_at, error

    def share(self) -> float:
        return self.iteration / 10

    def step(self, batch: int) -> StepStats:
        if batch == self.error_at:
            raise self.error("the sum is nan")
        self.total += batch
        self.iteration += 1
        doing = None if self.iteration % 5 else f"sum {self.total}"
        return StepStats(iteration=self.iteration, share=self.share(), doing=doing)

    def state(self) -> SumState:
        return SumState(iteration=self.iteration, total=self.total)

    def resume(self, state: SumState) -> None:
        self.iteration, self.total = state.iteration, state.total

    def result(self) -> int:
        return self.total


class Always(StoredCheckpoints):
    def due(self) -> bool:
        return True


@pytest.fixture
def place(tmp_path: Path) -> Checkpoint:
    return Checkpoint(store=Store(root=str(tmp_path)), key="sum")


def numbers(start: int) -> Generator[int, None, None]:
    yield from count(start)


def test_all_batches_are_used_and_progress_is_reported() -> None:
    shown: list[tuple[float, str]] = []
    context = Context(progress=lambda *what: shown.append(what))
    assert run_training(Adding(), numbers, context) == 45
    assert shown == [(0.5, "sum 10"), (1.0, "sum 45")]


def test_a_killed_run_resumes_at_its_next_batch(place: Checkpoint) -> None:
    kept = Always(place=place, seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        run_training(Adding(7, KeyboardInterrupt), numbers, Context(checkpoints=kept))
    starts: list[int] = []
    shown: list[str] = []

    def from_start(start: int) -> Generator[int, None, None]:
        starts.append(start)
        yield from count(start)

    context = Context(
        checkpoints=StoredCheckpoints(place=place, seconds=1000.0),
        progress=lambda share, doing: shown.append(doing),
    )
    assert run_training(Adding(), from_start, context) == 45
    assert starts == [7]
    assert shown == ["resumed at iteration 7", "sum 45, resumed at iteration 7"]


def test_the_checkpoint_of_a_diverged_run_is_discarded(place: Checkpoint) -> None:
    kept = Always(place=place, seconds=0.0)
    with pytest.raises(DivergedError):
        run_training(Adding(7), numbers, Context(checkpoints=kept))
    assert place.load() is None


@pytest.mark.parametrize("error_at", [None, 3])
def test_the_source_of_batches_is_closed_however_the_run_ends(error_at: int | None) -> None:
    closed: list[bool] = []

    def closing(start: int) -> Generator[int, None, None]:
        try:
            yield from count(start)
        finally:
            closed.append(True)

    try:
        run_training(Adding(error_at), closing, Context())
    except DivergedError:
        assert error_at is not None
    assert closed == [True]
