"""Pairs of photos to match."""

from tasks.sfm.config import SfmConfig


def pairs_to_match(n_photos: int, config: SfmConfig) -> list[tuple[int, int]]:
    """Index pairs ``(i, j)``, ``i < j``, in lexicographic order.

    Every pair up to ``config.exhaustive_up_to`` photos. Above it ``j - i <= config.overlap``, or
    ``j - i`` a power of two up to ``2 ** config.overlap``: the long steps close gaps that fast
    turns leave, at a cost that grows with the logarithm of the reach (COLMAP's quadratic overlap).
    """
    if n_photos <= config.exhaustive_up_to:
        return [(i, j) for i in range(n_photos) for j in range(i + 1, n_photos)]
    steps = set(range(1, config.overlap + 1))
    steps |= {2**k for k in range(config.overlap + 1) if 2**k < n_photos}
    return [(i, i + step) for i in range(n_photos) for step in sorted(steps) if i + step < n_photos]
