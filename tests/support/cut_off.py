"""An optimisation that ends in the middle, as a kill would end it."""

from collections.abc import Callable

import pytest

from storage.checkpoints import Checkpoint
from tasks.runtime.checkpoints import SavedState, StoredCheckpoints


class CutOffError(Exception):
    pass


class CutOff(StoredCheckpoints):
    """Ends the optimisation right after the state of one iteration was saved."""

    cut_after: int

    def due(self) -> bool:
        return True

    def save(self, state: SavedState) -> None:
        if state.iteration == self.cut_after:
            super().save(state)
            raise CutOffError


def cut_off(run: Callable[[CutOff], object], place: Checkpoint, iteration: int) -> None:
    checkpoints = CutOff(place=place, seconds=0.0)
    checkpoints.cut_after = iteration
    with pytest.raises(CutOffError):
        run(checkpoints)
