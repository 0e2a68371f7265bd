"""Plane sweep around the rendered depth for the depth at which the photos agree.

In a novel view, depths around the rendered one are tried at every pixel, and the best photos warped
at each; where they show the same, the surface is (Collins, CVPR 1996). The depths are spaced evenly
in units of the rendered depth. They are tried at half the size first, where a window sees twice as
far, and the best is then refined by half a step's neighbours at full size: a quarter of the cost of
one sweep at full size, and better, since small windows are what mistakes noise for agreement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, UInt64

from tasks.cameras import Cameras
from tasks.depth.config import SweepConfig
from tasks.depth.plane_sweep_kernels import median, search, warp
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
from tasks.images import to_uint8
from tasks.runtime.context import Device


def plane_sweep(
    depth: Float32[np.ndarray, "h w"],
    camera: Cameras,
    photos: Sequence[Float32[np.ndarray, "_ _ 3"]],
    sources: Cameras,
    config: SweepConfig,
    *,
    masks: Sequence[Bool[np.ndarray, "_ _"]] | None = None,
    device: Device = "cpu",
) -> Swept:
    """The depths of a view at which its photos agree.

    Args:
        depth: the rendered depth of the view, positive, world units.
        camera: of the view, one.
        photos: in [0, 1], best first.
        sources: cameras of the photos, each of its photo's size.
        masks: of the photos; False on unusable pixels.
    """
    if device == "cuda":
        from tasks.depth.plane_sweep_torch import plane_sweep_torch  # late: only this path needs it

        return plane_sweep_torch(
            depth, camera, photos, sources, config, masks=masks, device=torch.device(device)
        )
    height, width = depth.shape
    maps, offsets = relative_maps(camera, sources)
    coarse_maps, coarse_offsets = halved_maps(maps, offsets)
    fine, coarse = _pack(photos, masks), _pack(*_halved_photos(photos, masks))
    coarse_depth = halved(depth)
    shift, cost = _search(
        coarse_depth,
        np.zeros_like(coarse_depth),
        coarse_steps(config),
        coarse_maps,
        coarse_offsets,
        coarse,
        config,
    )
    start = doubled(_median(shift, COARSE_MEDIAN_RADIUS), height, width)
    shift, cost = _search(depth, start, fine_steps(config), maps, offsets, fine, config)
    swept = _median(depth * (1 + shift), MEDIAN_RADIUS)
    count = len(photos)
    warped = np.empty((count, height, width, 3), np.float32)
    valid = np.empty((count, height, width), np.float32)
    warp(swept, maps, offsets, fine.words, fine.sizes, fine.stride, warped, valid)
    return Swept(
        depth=swept,
        cost=np.where(valid.sum(0) >= 2, cost, np.float32(UNKNOWN_COST)),
        warped=warped,
        valid=valid,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Packed:
    """Photos as the kernels read them, padded to one size."""

    words: UInt64[np.ndarray, "k pixels"]
    sizes: Int32[np.ndarray, "k 2"]
    """Widths and heights."""
    stride: int
    """Pixels of a padded row."""


def _pack(
    photos: Sequence[Float32[np.ndarray, "_ _ 3"]],
    masks: Sequence[Bool[np.ndarray, "_ _"]] | None,
) -> _Packed:
    sizes = np.array([[photo.shape[1], photo.shape[0]] for photo in photos], np.int32)
    width, height = (int(extent) for extent in sizes.max(0))
    lanes = np.zeros((len(photos), height, width, 4), np.dtype("<u2"))
    for index, photo in enumerate(photos):
        inside = (index, slice(photo.shape[0]), slice(photo.shape[1]))
        lanes[*inside, slice(3)] = to_uint8(photo)
        lanes[*inside, 3] = 255 if masks is None else 255 * masks[index].astype(np.uint16)
    words = lanes.view(np.dtype("<u8"))
    return _Packed(words=words.reshape(len(photos), -1), sizes=sizes, stride=width)


def _halved_photos(
    photos: Sequence[Float32[np.ndarray, "_ _ 3"]],
    masks: Sequence[Bool[np.ndarray, "_ _"]] | None,
) -> tuple[list[Float32[np.ndarray, "_ _ 3"]], list[Bool[np.ndarray, "_ _"]] | None]:
    small = [halved(photo) for photo in photos]
    if masks is None:
        return small, None
    return small, [halved(mask.astype(np.float32)) == 1 for mask in masks]


def _search(
    depth: Float32[np.ndarray, "h w"],
    start: Float32[np.ndarray, "h w"],
    steps: Float32[np.ndarray, " planes"],
    maps: Float32[np.ndarray, "k 3 3"],
    offsets: Float32[np.ndarray, "k 3"],
    photos: _Packed,
    config: SweepConfig,
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Relative shift from ``depth``, and the disagreement there."""
    shift, cost = np.empty_like(depth), np.empty_like(depth)
    search(
        depth,
        start,
        steps,
        maps,
        offsets,
        photos.words,
        photos.sizes,
        photos.stride,
        config.radius,
        np.float32(config.distance_penalty),
        shift,
        cost,
    )
    return shift, cost


def _median(values: Float32[np.ndarray, "h w"], radius: int) -> Float32[np.ndarray, "h w"]:
    filtered = np.empty_like(values)
    median(values, radius, filtered)
    return filtered
