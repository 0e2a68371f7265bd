"""Image pyramids of photos, in the layout that the sweep reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, UInt8, UInt32

from tasks.cameras import Cameras
from tasks.images import fitted_sizes, resized, resized_mask

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. 601."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """All photos at one size."""

    cameras: Cameras
    grey: list[UInt8[np.ndarray, "_ _"]]
    """1 to 255; 0 where the photo may not be used."""
    words: UInt32[np.ndarray, "n words"]
    """See :mod:`tasks.depth.depth_kernels`; of photos padded to one size, row after row."""
    stride: int
    """Pixels of a padded row."""
    sizes: Int32[np.ndarray, "n 2"]


def levels_of(
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    masks: Sequence[Bool[np.ndarray, "_ _"] | None],
    *,
    coarse_size: int,
) -> list[Level]:
    """Coarsest first, its longest edge ``coarse_size``; the last at the photos' own sizes."""
    longest = int(cameras.sizes.max())
    edges = [longest]
    while edges[0] > coarse_size:
        edges.insert(0, max(coarse_size, -(-edges[0] // 2)))
    return [
        _level(cameras.resized(fitted_sizes(cameras.sizes, edge)), photos, masks) for edge in edges
    ]


def grey_of(
    photo: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"] | None
) -> UInt8[np.ndarray, "h w"]:
    """Grey levels 1 to 255; 0 where ``mask`` is false."""
    levels = np.maximum(np.rint(photo @ LUMA), 1).astype(np.uint8)
    return levels if mask is None else np.where(mask, levels, 0).astype(np.uint8)


def _level(
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    masks: Sequence[Bool[np.ndarray, "_ _"] | None],
) -> Level:
    sizes = [cameras.size(index) for index in range(len(cameras))]
    grey = [
        grey_of(resized(photo, size), None if mask is None else resized_mask(mask, size))
        for photo, mask, size in zip(photos, masks, sizes, strict=True)
    ]
    stride, height = (int(extent) for extent in cameras.sizes.max(0))
    words = np.zeros((len(grey), 1 + stride * height), np.uint32)
    for packed, levels in zip(words, grey, strict=True):
        rows, columns = levels.shape
        inner = packed[1:].reshape(height, stride)[: rows - 1, : columns - 1]
        corners = [
            levels[down : rows - 1 + down, right : columns - 1 + right].astype(np.uint32)
            for down in (0, 1)
            for right in (0, 1)
        ]
        usable = np.logical_and.reduce([corner > 0 for corner in corners])
        joint = sum(corner << np.uint32(8 * lane) for lane, corner in enumerate(corners))
        inner[:] = np.where(usable, joint, 0)
    return Level(
        cameras=cameras,
        grey=grey,
        words=words,
        stride=stride,
        sizes=cameras.sizes.astype(np.int32),
    )
