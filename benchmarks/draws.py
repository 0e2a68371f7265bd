"""Choices of some of a scene's photos."""

from collections.abc import Sequence

import numpy as np


def subset(names: Sequence[str], count: int, which: int, subsets: int) -> tuple[str, ...]:
    """``count`` names, evenly spread; each ``which`` begins elsewhere between two of them."""
    step = len(names) / count
    places = (np.arange(count) + (which + 0.5) / subsets) * step
    return tuple(names[int(place)] for place in places)
