"""Limit of the number of Gaussians, from the memory of a fit."""

from tasks.errors import InputError
from tasks.splat.config import SplatConfig
from tasks.splat.rasterise.cpu.layout import PARTS

_FLOAT_BYTES = 4
_COPIES = 4
"""Copies of each parameter: itself, its gradient and Adam's two moments."""
_PER_PART = 16
"""Floats for a Gaussian's gradients in each part of the rasteriser's sums."""
_ONCE = 30
"""Floats for pixel positions and radii, their gradients, the projection, its order by depth and
the strategy's sums."""


def bytes_per_gaussian(sh_degree: int) -> int:
    """Memory of one Gaussian during a fit, without its entries in the lists of tiles, bytes."""
    harmonics = 3 * (sh_degree + 1) ** 2
    parameters = 3 + 4 + 3 + 1 + harmonics
    activated = 2 * (3 + 1 + harmonics)  # scales, opacity, joined harmonics; and their gradients
    floats = _COPIES * parameters + activated + _ONCE + _PER_PART * PARTS
    return _FLOAT_BYTES * floats


def most_gaussians(config: SplatConfig) -> int:
    """Largest number of Gaussians in a fit of this config, at least 1."""
    room = max(1, int(config.memory_gib * 2**30 / bytes_per_gaussian(config.sh_degree)))
    return room if config.max_gaussians is None else min(room, config.max_gaussians)


def check_room(count: int, config: SplatConfig) -> None:
    """Refuse a fit that would start above its limit.

    Args:
        count: number of initial Gaussians.

    Raises:
        InputError: there are more than the config allows.
    """
    if count > (most := most_gaussians(config)):
        raise InputError(
            f"the fit would start from {count:,} Gaussians and splat.memory_gib "
            f"{config.memory_gib:g} and splat.max_gaussians {config.max_gaussians or 'null'} leave "
            f"room for {most:,}, so it cannot begin; raise them or start from fewer"
        )
