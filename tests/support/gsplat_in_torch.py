"""gsplat's CUDA kernels in torch, so that what calls them can be run on tensors of the CPU.

The projection and the harmonics are gsplat's own reference functions; tiles and blending are
written from the kernels' documentation. Forward passes only.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from gsplat.cuda import _wrapper
from gsplat.cuda._torch_impl import (
    _fully_fused_projection,
    _isect_offset_encode,
    _quat_scale_to_covar_preci,
    _spherical_harmonics,
)
from torch import Tensor


def run_on_cpu(patch: pytest.MonkeyPatch) -> None:
    """Put the functions of this module in the place of the compiled kernels."""
    kernels: dict[str, Callable[..., Any]] = {
        "projection_ewa_3dgs_fused_fwd": project,
        "projection_ewa_3dgs_packed_fwd": project_packed,
        "spherical_harmonics_fwd": harmonics,
        "intersect_tile": intersect,
        "intersect_offset": _isect_offset_encode,
        "rasterize_to_pixels_3dgs_fwd": blend,
    }
    patch.setattr(_wrapper, "_make_lazy_cuda_func", kernels.__getitem__)
    patch.setattr(_wrapper, "_make_lazy_cuda_obj", lambda name: name)


def project(
    means: Tensor,
    covars: None,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    poses: Tensor,
    intrinsics: Tensor,
    width: int,
    height: int,
    eps2d: float,
    near: float,
    far: float,
    clip: float,
    antialiased: bool,
    model: str,
) -> tuple[Tensor, ...]:
    covariances, _ = _quat_scale_to_covar_preci(quats, scales, compute_preci=False)
    radii, means2d, depths, conics, compensations = _fully_fused_projection(
        means, covariances, poses, intrinsics, width, height, eps2d, near, far, antialiased
    )
    visible = opacities * (1 if compensations is None else compensations) >= 1 / 255
    return (
        torch.where(visible[..., None], radii, 0),
        means2d,
        depths,
        conics,
        means2d.new_zeros(0) if compensations is None else compensations,
    )


def project_packed(*arguments: Any) -> tuple[Tensor, ...]:
    radii, means2d, depths, conics, compensations = project(*arguments)
    seen = (radii > 0).all(-1)
    cameras, gaussians = torch.where(seen)
    return (
        torch.zeros(0),
        torch.zeros_like(cameras),
        cameras,
        gaussians,
        *(values[seen] for values in (radii, means2d, depths, conics)),
        compensations[seen] if len(compensations) else compensations,
    )


def harmonics(degree: int, directions: Tensor, coefficients: Tensor, masks: Tensor) -> Tensor:
    colours = _spherical_harmonics(degree, directions, coefficients)
    return torch.where(masks[..., None], colours, 0)


def intersect(
    means2d: Tensor,
    radii: Tensor,
    depths: Tensor,
    image_ids: Tensor | None,
    gaussian_ids: Tensor | None,
    images: int,
    tile: int,
    columns: int,
    rows: int,
    sort: bool,
    segmented: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    if image_ids is None:
        image_ids = torch.arange(images).repeat_interleave(means2d.shape[-2])
    means2d, radii, depths = means2d.reshape(-1, 2), radii.reshape(-1, 2), depths.reshape(-1)
    most = torch.tensor([columns, rows])
    first = torch.floor((means2d - radii) / tile).long().clamp_min(0).minimum(most)
    last = torch.ceil((means2d + radii) / tile).long().clamp_min(0).minimum(most)
    bits = (columns * rows).bit_length()
    entries = [
        (int(image_ids[g]) << bits | y * columns + x, float(depths[g]), g)
        for g in torch.where((radii > 0).all(1))[0].tolist()
        for y in range(int(first[g, 1]), int(last[g, 1]))
        for x in range(int(first[g, 0]), int(last[g, 0]))
    ]
    entries.sort()
    return (
        torch.zeros(0),
        torch.tensor([place << 32 for place, _, _ in entries], dtype=torch.int64),
        torch.tensor([gaussian for _, _, gaussian in entries], dtype=torch.int32),
    )


def blend(
    means2d: Tensor,
    conics: Tensor,
    colours: Tensor,
    opacities: Tensor,
    backgrounds: None,
    masks: None,
    width: int,
    height: int,
    tile: int,
    offsets: Tensor,
    flattened: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    cameras, rows, columns = offsets.shape
    means2d, conics = means2d.reshape(-1, 2), conics.reshape(-1, 3)
    colours, opacities = colours.reshape(len(means2d), -1), opacities.reshape(-1)
    image = colours.new_zeros(cameras, height, width, colours.shape[1])
    alpha = colours.new_zeros(cameras, height, width, 1)
    starts = [*offsets.reshape(-1).tolist(), len(flattened)]
    for place in range(cameras * rows * columns):
        camera, row, column = place // (rows * columns), place // columns % rows, place % columns
        y, x = (
            torch.arange(at * tile, min((at + 1) * tile, most))
            for at, most in ((row, height), (column, width))
        )
        left = torch.ones(len(y), len(x))
        for g in flattened[starts[place] : starts[place + 1]].tolist():
            dx, dy = means2d[g, 0] - x - 0.5, (means2d[g, 1] - y - 0.5)[:, None]
            xx, xy, yy = conics[g]
            exponent = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
            share = (opacities[g] * torch.exp(-exponent)).clamp_max(0.999)
            share = torch.where(share < 1 / 255, 0, share)
            share = torch.where(left * (1 - share) <= 1e-4, 0, share)
            image[camera, y[:, None], x] += (left * share)[..., None] * colours[g]
            left = left * (1 - share)
        alpha[camera, y[:, None], x, 0] = 1 - left
    return image, alpha, torch.zeros(0)
