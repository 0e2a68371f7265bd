"""Random choices as plain Python values, all from one seeded generator."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")


@dataclass(frozen=True, slots=True)
class Draws:
    generator: np.random.Generator

    def uniform(self, low: float, high: float) -> float:
        return float(self.generator.uniform(low, high))

    def log_uniform(self, low: float, high: float) -> float:
        """Uniform in the logarithm."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def normal(self, sigma: float) -> float:
        return float(self.generator.normal(0.0, sigma))

    def integer(self, low: int, high: int) -> int:
        """Uniform, both ends included."""
        return int(self.generator.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return float(self.generator.random()) < probability

    def choice(self, options: Sequence[Option]) -> Option:
        return options[self.integer(0, len(options) - 1)]
