"""How many Gaussians a fit may have: as many as its memory holds."""

from tasks.errors import InputError
from tasks.splat.config import SplatConfig

NOMINAL_THREADS = 8
"""For which the rasteriser's memory is reckoned: a result must not depend on the machine's."""

_FLOAT_BYTES = 4
_COPIES = 4
"""Of each parameter: itself, its gradient and Adam's two moments."""
_PER_THREAD = 16
"""Floats in which each thread of the rasteriser sums a Gaussian's gradients."""
_ONCE = 30
"""Floats for pixel positions and radii, their gradients, the projection, its order by depth and
the strategy's sums."""


def bytes_per_gaussian(sh_degree: int) -> int:
    """Memory of one Gaussian while it is fitted, but for the list of the tiles it lies in."""
    harmonics = 3 * (sh_degree + 1) ** 2
    parameters = 3 + 4 + 3 + 1 + harmonics
    activated = 2 * (3 + 1 + harmonics)  # scales, opacity, joined harmonics; and their gradients
    floats = _COPIES * parameters + activated + _ONCE + _PER_THREAD * NOMINAL_THREADS
    return _FLOAT_BYTES * floats


def most_gaussians(config: SplatConfig) -> int:
    """The most Gaussians that a fit of this config may have, at least 1."""
    room = max(1, int(config.memory_gib * 2**30 / bytes_per_gaussian(config.sh_degree)))
    return room if config.max_gaussians is None else min(room, config.max_gaussians)


def check_room(count: int, config: SplatConfig) -> None:
    """
    Args:
        count: of the Gaussians that the fit would start from.

    Raises:
        InputError: these are more than it may ever have.
    """
    if count > (most := most_gaussians(config)):
        raise InputError(
            f"the fit would start from {count:,} Gaussians and splat.memory_gib "
            f"{config.memory_gib:g} and splat.max_gaussians {config.max_gaussians or 'null'} leave "
            f"room for {most:,}, so it cannot begin; raise them or start from fewer"
        )
