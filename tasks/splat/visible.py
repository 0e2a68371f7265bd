"""A check that a fitted splat shows something."""

import torch

from tasks.cameras import Cameras
from tasks.errors import DivergedError
from tasks.gaussians import Gaussians
from tasks.runtime.context import Device
from tasks.splat.render import render

LEAST_OPACITY = 1 / 255
"""Rasterisers draw nothing below it."""
LEAST_COVER = 0.01
"""Mean opacity of the renders from the photos below which a splat is taken to be empty."""
LOOKS = 4
"""Photos, at most, from which it is rendered."""


def check_visible(gaussians: Gaussians, cameras: Cameras, *, device: Device = "cpu") -> None:
    """Refuse a splat that is empty, transparent, or out of the view of the photos.

    Args:
        gaussians: as fitted; a background shell counts for nothing.
        cameras: of the photos that it was fitted to, at their size in the fit.

    Raises:
        DivergedError: it shows nothing.
    """
    advice = (
        "so the fit has come to nothing; lower 'splat.clearance', choose another 'splat.densify', "
        "or see whether the photos show anything but black"
    )
    splat = gaussians.foreground
    if not len(splat):
        raise DivergedError(f"0 Gaussians are left of the splat, {advice}")
    opacities = splat.logit_opacities.sigmoid()
    if not bool((opacities >= LEAST_OPACITY).any()):
        raise DivergedError(
            f"all {len(splat):,} Gaussians of the splat are transparent (the largest opacity is "
            f"{float(opacities.max()):.2g}), {advice}"
        )
    step = -(-len(cameras) // LOOKS)
    covers = [
        float(render(splat, cameras, index, device=device).alpha.mean())
        for index in range(0, len(cameras), step)
    ]
    # Not the largest: 'max' would pass over a NaN.
    if not bool((torch.tensor(covers) >= LEAST_COVER).any()):
        raise DivergedError(
            f"the {len(splat):,} Gaussians of the splat cover at most {max(covers):.2%} of the "
            f"{len(covers)} photos that it was rendered for, {advice}"
        )
