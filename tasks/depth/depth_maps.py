"""Depth maps of photos, by a plane sweep that other photos' depth maps must confirm.

At the coarsest size all depths between the photo's sparse points are tried at every pixel; what a
window of the photo shows is correlated with its neighbours (7x7, the two best count), and a
semi-global optimisation picks depths that change smoothly. At each doubled size the depths are
refined by some steps about what was found before: the windows then lie along the surface found,
slanted as it is. A depth is kept where the photos correlate and the depth maps of two other photos
(one, of fewer than five photos) lead back to the pixel.

Sources: Collins, CVPR 1996 (sweep); Hirschmueller, TPAMI 30(2), 2008 (semi-global matching);
Schoenberger et al., ECCV 2016, sec. 4.5 (confirmation by reprojection there and back).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from tasks.cameras import Cameras
from tasks.depth.config import DenseConfig
from tasks.depth.depth_kernels import enlarge, match, pick, pick_smooth, smooth
from tasks.depth.fusion_kernels import confirm
from tasks.depth.neighbours import (
    Neighbourhood,
    SparsePoints,
    neighbourhoods,
    planes_of,
)
from tasks.depth.plane_sweep_kernels import median
from tasks.depth.pyramid import Level, levels_of
from tasks.depth.reprojection import relative_maps
from tasks.images import from_uint8
from tasks.runtime.context import Context

SMALL_PENALTY, LARGE_PENALTY, EDGE = 16.0, 96.0, 12.0
"""Of the semi-global optimisation, in costs of which 255 is the worst; the edge in grey levels."""
FINER = 4
"""Steps at a doubled size for one of the size before."""
REACH = 4
"""Steps to either side that are tried at a doubled size."""
FEW_PHOTOS = 5
"""Below so many photos, one other photo's agreement is enough."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthMap:
    """Depth map of a photo."""

    depth: Float32[np.ndarray, "h w"]
    """Along the optical axis, world units; 0 = unknown."""
    confidence: Float32[np.ndarray, "h w"]
    """In [0, 1]: the photos' correlation there, less where few maps agree; 0 = unknown."""


def depth_maps(
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    sparse: SparsePoints,
    config: DenseConfig,
    *,
    masks: Sequence[Bool[np.ndarray, "_ _"] | None] | None = None,
    context: Context = Context(),
) -> list[DepthMap]:
    """Sweep every photo against its neighbours, and keep what other photos confirm.

    Args:
        cameras: undistorted pinhole cameras, of the photos' sizes.
        photos: those that a splat may be fitted to, and no other.
        sparse: points triangulated from these photos alone.
        masks: of the photos; False on unusable pixels.

    Returns:
        A map of each photo's size, in their order; unknown everywhere where a photo shares fewer
        than 8 points with every other.
    """
    around = neighbourhoods(cameras, sparse, most=config.neighbours)
    everywhere = [None] * len(photos) if masks is None else masks
    depths, correlations = _all_swept(cameras, photos, everywhere, around, config, context)
    return [
        _confirmed(index, near, depths, correlations[index], cameras, config)
        for index, near in enumerate(around)
    ]


def _all_swept(
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    masks: Sequence[Bool[np.ndarray, "_ _"] | None],
    around: Sequence[Neighbourhood],
    config: DenseConfig,
    context: Context,
) -> tuple[Float32[np.ndarray, "n H W"], UInt8[np.ndarray, "n H W"]]:
    """Depths of photos padded to one size, 0 where they do not correlate, and correlations, 255
    for 1."""
    levels = levels_of(cameras, photos, masks, coarse_size=config.coarse_size)
    width, height = (int(extent) for extent in cameras.sizes.max(0))
    depths = np.zeros((len(photos), height, width), np.float32)
    correlations = np.zeros(depths.shape, np.uint8)
    for index, near in enumerate(around):
        context.progress(index / len(photos), f"depth of photo {index + 1} of {len(photos)}")
        if near.photos:
            inverse, cost = _sweep(index, near, levels, config)
            inside = (index, slice(cost.shape[0]), slice(cost.shape[1]))
            usable = levels[-1].grey[index] > 0
            sure = usable & (1 - cost >= config.min_correlation) & (inverse > 0)
            depths[inside] = np.where(sure, 1 / np.maximum(inverse, 1e-30), 0)
            correlations[inside] = np.rint(255 * (1 - cost))
    context.progress(1.0, "depth of all photos")
    return depths, correlations


def _sweep(
    index: int, near: Neighbourhood, levels: Sequence[Level], config: DenseConfig
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Inverse depths of a photo, and the costs there, 1 for the worst."""
    width, height = levels[0].cameras.size(index)
    maps, offsets = relative_maps(
        levels[0].cameras.select([index]), levels[0].cameras.select(near.photos)
    )
    planes = planes_of(maps, offsets, (width, height), near.inverse_range, most=config.max_planes)
    grey = levels[0].grey[index]
    inverse = np.zeros((height, width), np.float32)
    costs = _costs(inverse, planes, levels[0], index, near)
    sums = np.empty((2, *costs.shape), np.uint16)
    smooth(
        costs,
        grey,
        np.float32(SMALL_PENALTY),
        np.float32(LARGE_PENALTY),
        np.float32(EDGE),
        sums,
    )
    found = np.empty_like(inverse)
    pick_smooth(sums, inverse, planes, found)
    step = float(planes[1] - planes[0])
    cost = _costs_at(found, costs, planes)
    for level in levels[1:]:
        start = np.empty_like(level.grey[index], dtype=np.float32)
        enlarge(_median(found), np.float32(2 * step), start)
        step /= FINER
        steps = (step * np.arange(-REACH, REACH + 1)).astype(np.float32)
        costs = _costs(start, steps, level, index, near)
        found, cost = np.empty_like(start), np.empty_like(start)
        pick(costs, start, steps, found, cost)
        step *= FINER / 2
    return _median(found), cost


def _costs(
    inverse: Float32[np.ndarray, "h w"],
    steps: Float32[np.ndarray, " planes"],
    level: Level,
    index: int,
    near: Neighbourhood,
) -> UInt8[np.ndarray, "h w planes"]:
    others = list(near.photos)
    maps, offsets = relative_maps(level.cameras.select([index]), level.cameras.select(others))
    costs = np.empty((*inverse.shape, len(steps)), np.uint8)
    match(
        inverse,
        steps,
        level.grey[index],
        maps,
        offsets,
        level.words[others],
        level.sizes[others],
        level.stride,
        costs,
    )
    return costs


def _costs_at(
    inverse: Float32[np.ndarray, "h w"],
    costs: UInt8[np.ndarray, "h w planes"],
    planes: Float32[np.ndarray, " planes"],
) -> Float32[np.ndarray, "h w"]:
    """Of the plane next to each inverse depth, 1 for the worst."""
    nearest = np.rint((inverse - planes[0]) / (planes[1] - planes[0])).astype(np.int64)
    chosen = np.clip(nearest, 0, len(planes) - 1)[..., None]
    return from_uint8(np.take_along_axis(costs, chosen, axis=2)[..., 0])


def _median(values: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    filtered = np.empty_like(values)
    median(values, 1, filtered)
    return filtered


def _confirmed(
    index: int,
    near: Neighbourhood,
    depths: Float32[np.ndarray, "n H W"],
    correlation: UInt8[np.ndarray, "H W"],
    cameras: Cameras,
    config: DenseConfig,
) -> DepthMap:
    width, height = cameras.size(index)
    own = np.ascontiguousarray(depths[index, :height, :width])
    agreeing, fused = np.zeros(own.shape, np.uint8), np.zeros_like(own)
    if near.photos:
        others = [j for j in range(len(cameras)) if j != index]
        there, back = _there_and_back(cameras, index, others)
        confirm(
            own,
            np.array(others, np.int32),
            *there,
            *back,
            depths,
            cameras.sizes.astype(np.int32),
            np.float32(config.tolerance),
            np.float32(config.tolerance_px),
            agreeing,
            fused,
        )
    needed = 1 if len(cameras) < FEW_PHOTOS else 2
    kept = agreeing >= needed
    sure = agreeing / (agreeing + np.float32(1)) * from_uint8(correlation[:height, :width])
    return DepthMap(
        depth=np.where(kept, fused, np.float32(0)),
        confidence=np.where(kept, sure, np.float32(0)),
    )


def _there_and_back(
    cameras: Cameras, index: int, others: Sequence[int]
) -> tuple[
    tuple[Float32[np.ndarray, "k 3 3"], Float32[np.ndarray, "k 3"]],
    tuple[Float32[np.ndarray, "k 3 3"], Float32[np.ndarray, "k 3"]],
]:
    """Maps from a photo's pixels into others, and from theirs into its own."""
    this = cameras.select([index])
    back = [relative_maps(cameras.select([other]), this) for other in others]
    return relative_maps(this, cameras.select(others)), (
        np.concatenate([maps for maps, _ in back]),
        np.concatenate([offsets for _, offsets in back]),
    )
