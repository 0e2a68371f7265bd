"""gsplat's CUDA rasteriser behind our protocol."""

from typing import Any

import numpy as np
import torch
from gsplat import rasterization
from gsplat.cuda._wrapper import rasterize_to_indices_in_range, rasterize_to_pixels
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from tasks.splat.rasterise.protocol import PinholeCameras, Rendering, RenderOptions, SplatTensors


def rasterise(splat: SplatTensors, cameras: PinholeCameras, options: RenderOptions) -> Rendering:
    """See :class:`tasks.splat.rasterise.protocol.Rasteriser`; all tensors on one device.

    The median depth, which gsplat does not render, takes temporarily some 50 bytes for each
    Gaussian drawn in a pixel.

    Raises:
        ValueError: the median depth or weights are requested together with ``packed``.
    """
    if options.packed and (options.with_median_depth or options.with_weights):
        raise ValueError("median depth and weights need projections that are not packed")
    stack = cameras.as_stack()

    def on_device(array: np.ndarray | Tensor) -> Tensor:
        return torch.as_tensor(array).to(splat.means.device, torch.float32)

    def as_given(tensor: Tensor) -> Tensor:
        return tensor if cameras.is_stack else tensor[0]

    poses = on_device(stack.camera_from_world)
    background = None if stack.background_image is None else on_device(stack.background_image)
    one_colour = background is not None and background.ndim == 2
    image, alpha, meta = rasterization(
        splat.means,
        splat.quats,
        splat.scales,
        splat.opacities * _in_front(splat, poses),
        splat.sh if splat.sh_rest is None else torch.cat([splat.sh, splat.sh_rest], 1),
        poses,
        on_device(stack.intrinsics),
        stack.width,
        stack.height,
        sh_degree=options.sh_degree,
        packed=options.packed,
        backgrounds=background if one_colour else None,
        rasterize_mode="antialiased" if options.antialiased else "classic",
        absgrad=options.absgrad,
        render_mode="RGB+ED" if options.with_depth else "RGB",
    )
    rgb = image[..., :3]
    if background is not None and not one_colour:
        rgb = rgb + (1 - alpha) * background
    means2d = meta["means2d"]
    if means2d.requires_grad:
        means2d.retain_grad()
    return Rendering(
        rgb=as_given(rgb),
        alpha=as_given(alpha[..., 0]),
        depth=as_given(image[..., 3]) if options.with_depth else None,
        median_depth=as_given(_median_depth(meta)) if options.with_median_depth else None,
        weights=as_given(_weights(meta)) if options.with_weights else None,
        means2d=means2d,
        radii=meta["radii"],
        gaussians=meta["gaussian_ids"].long() if options.packed else None,
    )


@torch.no_grad()
def _in_front(
    splat: SplatTensors, camera_from_world: Float32[Tensor, "c 4 4"]
) -> Bool[Tensor, " n"]:
    """Whether no camera's plane is nearer than a standard deviation; gsplat does not check it."""
    means = splat.means
    axis = camera_from_world[:, 2, :3]
    depths = axis @ means.T + camera_from_world[:, 2, 3:]
    # The axis turned into each Gaussian's own frame: by the inverse of its unit quaternion.
    unit = torch.nn.functional.normalize(splat.quats, dim=-1)[None]
    w, v = unit[..., :1], -unit[..., 1:]
    across = 2 * torch.linalg.cross(v, axis[:, None].expand(-1, len(means), -1))
    own = axis[:, None] + w * across + torch.linalg.cross(v.expand_as(across), across)
    return (depths >= (own * splat.scales).norm(dim=-1)).all(0)


@torch.no_grad()
def _median_depth(meta: dict[str, Any]) -> Float32[Tensor, "c h w"]:
    """From the record that gsplat's ``rasterization`` returns of Gaussians, tiles and size."""
    width, height = meta["width"], meta["height"]
    means2d, conics, opacities = meta["means2d"], meta["conics"], meta["opacities"]
    cameras, count = opacities.shape
    gaussian, pixel, camera = rasterize_to_indices_in_range(
        0,
        np.iinfo(np.int32).max,
        torch.ones(cameras, height, width, device=means2d.device),
        means2d,
        conics,
        opacities,
        width,
        height,
        meta["tile_size"],
        meta["isect_offsets"],
        meta["flatten_ids"],
    )
    member = camera * count + gaussian
    dx, dy = (
        means2d.reshape(-1, 2)[member] - torch.stack([pixel % width, pixel // width], 1) - 0.5
    ).unbind(1)
    xx, xy, yy = conics.reshape(-1, 3)[member].unbind(1)
    exponent = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    return median_of_lists(
        camera * (width * height) + pixel,
        (opacities.reshape(-1)[member] * torch.exp(-exponent)).clamp_max(0.999),
        meta["depths"].reshape(-1)[member],
        cameras * width * height,
    ).reshape(cameras, height, width)


def _weights(meta: dict[str, Any]) -> Float32[Tensor, "c n"]:
    """Summed blending weights of each camera's Gaussians, from the record of ``rasterization``.

    A pixel's colour is ``sum_g w_g c_g``, so they are the gradient of the summed image by c.
    """
    opacities = meta["opacities"].detach()
    with torch.enable_grad():
        grey = torch.zeros_like(opacities)[..., None].requires_grad_()
        image, _ = rasterize_to_pixels(
            meta["means2d"].detach(),
            meta["conics"].detach(),
            grey,
            opacities,
            meta["width"],
            meta["height"],
            meta["tile_size"],
            meta["isect_offsets"],
            meta["flatten_ids"],
        )
        (weights,) = torch.autograd.grad(image.sum(), grey)
    return weights[..., 0]


def median_of_lists(
    pixels: Int64[Tensor, " m"],
    alphas: Float32[Tensor, " m"],
    depths: Float32[Tensor, " m"],
    count: int,
) -> Float32[Tensor, " count"]:
    """Median depth of each of ``count`` pixels, as ``Rendering.median_depth`` defines it.

    Args:
        pixels: index of the pixel in which an entry is drawn, ascending.
        alphas: its opacity there, in [0, 1).
        depths: world units, nearest first in each pixel.
        count: of pixels.
    """
    # ln T in front of and behind every entry, from one running sum over all pixels.
    absorbed = torch.log1p(-alphas.double())
    background_image = absorbed.cumsum(0)
    before = background_image - absorbed
    background_image, before = (
        sums - before[torch.searchsorted(pixels, pixels)] for sums in (background_image, before)
    )
    half = np.log(0.5)
    crossing = (before > half) & (background_image <= half)
    median = depths.new_zeros(count)
    median[pixels[crossing]] = depths[crossing]
    return median
