"""gsplat's CUDA rasteriser behind our protocol."""

import numpy as np
import torch
from gsplat import rasterization
from jaxtyping import Float32, Float64
from torch import Tensor

from tasks.splat.rasterise.protocol import Rendering


def rasterise(
    means: Float32[Tensor, "n 3"],
    quats: Float32[Tensor, "n 4"],
    scales: Float32[Tensor, "n 3"],
    opacities: Float32[Tensor, " n"],
    sh: Float32[Tensor, "n k 3"],
    *,
    camera_from_world: Float64[np.ndarray, "4 4"],
    intrinsics: Float64[np.ndarray, "3 3"],
    width: int,
    height: int,
    sh_degree: int,
    background: Float32[Tensor, "3"] | None = None,
    with_depth: bool = False,
) -> Rendering:
    """See :class:`tasks.splat.rasterise.protocol.Rasteriser`; all tensors on one device."""

    def on_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(means.device, torch.float32)[None]

    # packed=False keeps means2d and radii in the order of the Gaussians.
    image, alpha, meta = rasterization(
        means,
        quats,
        scales,
        opacities,
        sh,
        on_device(camera_from_world),
        on_device(intrinsics),
        width,
        height,
        sh_degree=sh_degree,
        packed=False,
        backgrounds=None if background is None else background[None],
        render_mode="RGB+ED" if with_depth else "RGB",
    )
    means2d = meta["means2d"]
    if means2d.requires_grad:
        means2d.retain_grad()
    return Rendering(
        rgb=image[0, :, :, :3],
        alpha=alpha[0, :, :, 0],
        depth=image[0, :, :, 3] if with_depth else None,
        means2d=means2d,
        radii=meta["radii"],
    )
