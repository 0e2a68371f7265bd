"""The plane sweep in torch, for any device; see :mod:`tasks.depth.plane_sweep`."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad, unfold

from tasks.cameras import Cameras
from tasks.depth.config import SweepConfig
from tasks.depth.plane_sweep_kernels import MISSING, SUBPIXELS
from tasks.depth.reprojection import halved_maps, relative_maps
from tasks.depth.sweep import (
    COARSE_MEDIAN_RADIUS,
    MEDIAN_RADIUS,
    UNKNOWN_COST,
    Swept,
    coarse_steps,
    doubled,
    fine_steps,
    halved,
)
from tasks.images import from_uint8, to_uint8


def plane_sweep_torch(
    depth: Float32[np.ndarray, "h w"],
    camera: Cameras,
    photos: Sequence[Float32[np.ndarray, "_ _ 3"]],
    sources: Cameras,
    config: SweepConfig,
    *,
    masks: Sequence[Bool[np.ndarray, "_ _"]] | None = None,
    device: torch.device,
) -> Swept:
    """As :func:`tasks.depth.plane_sweep.plane_sweep`, up to ties and rounding."""
    height, width = depth.shape
    usable = [
        np.ones(photo.shape[:2], np.float32) if masks is None else masks[index].astype(np.float32)
        for index, photo in enumerate(photos)
    ]

    def placed(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    def stacked(values: Sequence[np.ndarray], seen: Sequence[np.ndarray]) -> list[Tensor]:
        """RGB in whole levels, as the CPU keeps them, and 1 where a pixel may be used."""
        return [
            placed(np.concatenate([from_uint8(to_uint8(v)), s[:, :, None]], axis=2))
            for v, s in zip(values, seen, strict=True)
        ]

    maps, offsets = relative_maps(camera, sources)
    full = stacked(photos, usable), placed(maps), placed(offsets)
    coarse_maps, coarse_offsets = halved_maps(maps, offsets)
    small = stacked(
        [halved(photo) for photo in photos],
        [(halved(seen) == 1).astype(np.float32) for seen in usable],
    )
    coarse = small, placed(coarse_maps), placed(coarse_offsets)

    coarse_depth = placed(halved(depth))
    shift, _ = _search(
        coarse_depth, torch.zeros_like(coarse_depth), coarse_steps(config), *coarse, config
    )
    start = placed(doubled(_median(shift, COARSE_MEDIAN_RADIUS).cpu().numpy(), height, width))
    rendered = placed(depth)
    shift, cost = _search(rendered, start, fine_steps(config), *full, config)
    swept = _median(rendered * (1 + shift), MEDIAN_RADIUS)
    warped, valid = _warp(swept, *full)
    cost = torch.where(valid.sum(0) >= 2, cost, UNKNOWN_COST)
    return Swept(
        depth=swept.cpu().numpy(),
        cost=cost.cpu().numpy(),
        warped=(warped * valid[..., None]).cpu().numpy(),
        valid=valid.cpu().numpy(),
    )


def _warp(
    depth: Tensor, photos: Sequence[Tensor], maps: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    """The photos [k h w 3] as the view sees them at ``depth``, and where it does [k h w]."""
    height, width = depth.shape
    y, x = torch.meshgrid(
        torch.arange(height, device=depth.device) + 0.5,
        torch.arange(width, device=depth.device) + 0.5,
        indexing="ij",
    )
    warped, valid = [], []
    for photo, a, b in zip(photos, maps, offsets, strict=True):
        u, v, far = (depth * (a[i, 0] * x + a[i, 1] * y + a[i, 2]) + b[i] for i in range(3))
        before = far > 0
        far = torch.maximum(far, 1e-6 * depth)
        u, v = u / far, v / far
        photo_height, photo_width = photo.shape[:2]
        inside = before & (u >= 0) & (v >= 0) & (u < photo_width) & (v < photo_height)
        sample = _bilinear(photo, u - 0.5, v - 0.5)
        warped.append(sample[..., :3])
        valid.append((inside & (sample[..., 3] > 0.999)).float())
    return torch.stack(warped), torch.stack(valid)


def _bilinear(photo: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Of a photo [h w c] at places between the centres of its pixels, to a sixteenth of one."""
    height, width = photo.shape[:2]
    at_x = (x.clamp(0, width - 1) * SUBPIXELS + 0.5).floor().long()
    at_y = (y.clamp(0, height - 1) * SUBPIXELS + 0.5).floor().long()
    left, top = at_x // SUBPIXELS, at_y // SUBPIXELS
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    to_right = (at_x % SUBPIXELS)[..., None] / SUBPIXELS
    to_bottom = (at_y % SUBPIXELS)[..., None] / SUBPIXELS
    above = photo[top, left] * (1 - to_right) + photo[top, right] * to_right
    below = photo[bottom, left] * (1 - to_right) + photo[bottom, right] * to_right
    return above * (1 - to_bottom) + below * to_bottom


def _search(
    depth: Tensor,
    start: Tensor,
    steps: np.ndarray,
    photos: Sequence[Tensor],
    maps: Tensor,
    offsets: Tensor,
    config: SweepConfig,
) -> tuple[Tensor, Tensor]:
    """Relative shift from ``depth``, and the disagreement there."""
    best = torch.full_like(depth, torch.inf)
    shift, cost = torch.zeros_like(depth), torch.zeros_like(depth)
    for step in steps.tolist():
        moved = start + step
        warped, valid = _warp(depth * (1 + moved), photos, maps, offsets)
        count = valid.sum(0)
        weights = valid[..., None]
        mean = (weights * warped).sum(0) / count.clamp_min(1)[..., None]
        differences = (weights * (warped - mean).abs()).sum(0).mean(-1) / count.clamp_min(1)
        disagreement = torch.where(count >= 2, differences, MISSING)
        mean_about = avg_pool2d(
            disagreement[None],
            2 * config.radius + 1,
            stride=1,
            padding=config.radius,
            count_include_pad=False,
        )[0]
        penalised = mean_about + config.distance_penalty * moved.abs()
        better = penalised < best
        best = torch.where(better, penalised, best)
        cost = torch.where(better, mean_about, cost)
        shift = torch.where(better, moved, shift)
    return shift, cost


def _median(values: Tensor, radius: int) -> Tensor:
    """Median over the square around each pixel; the border is repeated beyond itself."""
    side = 2 * radius + 1
    padded = pad(values[None, None], (radius,) * 4, mode="replicate")
    windows = unfold(padded, side)[0]
    return windows.median(dim=0).values.reshape(values.shape)
