"""Order and batches of the training photos."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

Size = tuple[int, int]
"""Width and height, px."""


def photo_order(count: int, seed: int) -> Iterator[int]:
    """Endless random permutations of ``count`` photos."""
    generator = np.random.default_rng(seed)
    while True:
        yield from (int(i) for i in generator.permutation(count))


def batches(sizes: Sequence[Size], most: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Endless batches of photos of one size, in the order of :func:`photo_order`.

    Args:
        sizes: of the photos.
        most: photos of a batch; fewer where fewer have that size.
    """
    full = {size: min(most, count) for size, count in Counter(sizes).items()}
    waiting: dict[Size, list[int]] = {size: [] for size in full}
    for photo in photo_order(len(sizes), seed):
        size = sizes[photo]
        waiting[size].append(photo)
        if len(waiting[size]) == full[size]:
            yield tuple(waiting[size])
            waiting[size].clear()
