"""Which photos of a scene a splat is fitted to, drawn by chance."""

from collections.abc import Sequence
from itertools import cycle, islice
from zlib import crc32

import numpy as np

from tasks.errors import InputError
from tasks.refine.training.pairs.config import PairsConfig


def draw_subsets(
    count: int, config: PairsConfig, rng: np.random.Generator
) -> Sequence[tuple[int, ...]]:
    """Different subsets of ``count`` photos, ascending; fewer where there are not enough photos.

    Raises:
        InputError: every size of ``config`` would take all photos of the scene.
    """
    sizes = [size for size in config.sizes if size < count]
    if not sizes:
        raise InputError(
            f"the scene has {count} photos with poses, and a pair needs {min(config.sizes)} of "
            "them to fit to and one more to compare with; add photos, leave the scene out, or set "
            "smaller 'pairs.sizes'"
        )
    drawn_sizes = islice(cycle(rng.permutation(sizes).tolist()), config.subsets)
    drawn = [_drawn(count, size, config.runs, rng) for size in drawn_sizes]
    return tuple(dict.fromkeys(drawn))


def _drawn(count: int, size: int, runs: float, rng: np.random.Generator) -> tuple[int, ...]:
    if rng.random() < runs:
        first = int(rng.integers(count - size + 1))
        return tuple(range(first, first + size))
    # One of each of ``size`` equal parts: evenly spread, with jitter.
    return tuple(int(rng.choice(part)) for part in np.array_split(np.arange(count), size))


def seed_of(scene: str) -> int:
    """A seed of the scene's own, the same wherever and whenever it is mined."""
    return crc32(scene.encode())
