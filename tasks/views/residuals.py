"""Residual of each Gaussian against the photos it was fitted to.

Colours of a splat are linear in the colours of its Gaussians, ``c_p = sum_g w_gp c_g``, so the
gradient of ``sum_p u_p c_p`` by ``c_g`` is ``sum_p w_gp u_p``: one backward pass gives a weighted
sum over the image for every Gaussian. Upstream, the channels carry (error, 1, 0).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float32

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.splat.init.points import SH_0
from tasks.splat.rasterise.protocol import PinholeCameras, RenderOptions, SplatTensors
from tasks.splat.rasterise.select import rasteriser_for

UNKNOWN = 1.0
"""Residual of a Gaussian that no photo shows: nothing has tested its colour."""
MIN_WEIGHT = 1e-4
"""Pixels that a Gaussian must fill for its residual to mean something."""


def mean_residuals(
    gaussians: Gaussians,
    cameras: Cameras,
    errors: Sequence[Float32[torch.Tensor, "_ _"]],
    weights: Sequence[Float32[torch.Tensor, "_ _"]],
) -> Float32[torch.Tensor, " n"]:
    """``r_g = sum_p w_gp e_p / sum_p w_gp`` over the pixels p of all photos.

    Args:
        gaussians: on the device where to render.
        cameras: of the photos.
        errors: of each photo's pixels, [h w] of its camera.
        weights: of each photo's pixels; 0 leaves a pixel out.
    """
    count, device = len(gaussians), gaussians.means.device
    rasterise = rasteriser_for(device)
    # Harmonics of zero are the colour 0.5, inside the clamp, where the gradient passes.
    sh = torch.zeros(count, 1, 3, device=device, requires_grad=True)
    splat = SplatTensors(
        means=gaussians.means,
        quats=gaussians.quats,
        scales=gaussians.log_scales.exp(),
        opacities=gaussians.logit_opacities.sigmoid(),
        sh=sh,
    )
    for index, (error, weight) in enumerate(zip(errors, weights, strict=True)):
        width, height = cameras.size(index)
        rendering = rasterise(
            splat,
            PinholeCameras(
                camera_from_world=cameras.camera_from_world[index],
                intrinsics=cameras.intrinsics[index],
                width=width,
                height=height,
            ),
            RenderOptions(sh_degree=0),
        )
        upstream = torch.stack([error * weight, weight, torch.zeros_like(error)], dim=-1)
        rendering.rgb.backward(upstream)  # type: ignore[no-untyped-call]
    gradient = sh.grad
    assert gradient is not None
    weighted_errors, total = gradient[:, 0, 0] / SH_0, gradient[:, 0, 1] / SH_0
    seen = total > MIN_WEIGHT
    return torch.where(seen, weighted_errors / total.clamp_min(MIN_WEIGHT), UNKNOWN)


def as_colours(values: Float32[torch.Tensor, " n"]) -> Float32[torch.Tensor, "n 1 3"]:
    """Harmonics with which each Gaussian shows its value in [0, 1] as grey."""
    return ((values - 0.5) / SH_0)[:, None, None].expand(-1, 1, 3).contiguous()
