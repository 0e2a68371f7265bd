"""Scenes as tables: order of rows, and the random numbers of groups."""

from dataclasses import dataclass

import numpy as np

from tasks.procedural.build import ball
from tasks.procedural.palette import STONE
from tasks.procedural.tables import assembled
from tasks.procedural.trace import Solid


@dataclass(frozen=True)
class Pebbles:
    """Balls at random places on the x axis."""

    count: int

    def solids(self, rng: np.random.Generator) -> list[Solid]:
        return [ball((float(rng.random()), 0.0, 0.0), 0.1, STONE) for _ in range(self.count)]


def test_rows_keep_their_order_and_groups_share_one_generator() -> None:
    middle = ball((7.0, 0.0, 0.0), 0.1, STONE)

    found = assembled((Pebbles(2), middle, Pebbles(1)), seed=4)

    first, second, third = np.random.default_rng(4).random(3)
    assert [solid.centre[0] for solid in found] == [first, second, 7.0, third]
