"""Lists of the Gaussians that touch each tile, front to back.

A Gaussian is drawn where ``d^T Q d <= 2 cutoff`` for its conic Q and ``d = pixel - mean``, an
ellipse. Both the binning here and the blending need the part of the ellipse in a band of pixel
centres. Solving ``xx dx^2 + 2 xy dx dy + yy dy^2 = level`` for dx at a given dy gives

    dx = (-xy dy +- sqrt(xx level - det dy^2)) / xx,    det = xx yy - xy^2,

real for ``|dy| <= sqrt(xx level / det)``. The upper branch has its maximum, the ellipse's right
end, at ``dy = -xy sqrt(level / (yy det))``, the lower branch its minimum at the opposite dy, and
both are monotonic on either side. So within a band of dy each extreme lies at that dy clamped to
the band. Rows and columns change roles for the other direction.
"""

import math

import numpy as np
from jaxtyping import Int32
from numba import float32, int32, prange

from tasks.runtime.jit import inlined, parallel_kernel, serial_kernel
from tasks.splat.rasterise.cpu.layout import (
    CONIC_DET,
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    CUTOFF,
    DEPTH,
    MEAN_X,
    MEAN_Y,
    PROJECTED,
    TILE,
    TILE_SHIFT,
    Projection,
)
from tasks.splat.rasterise.cpu.vectors import prefetch

_DIGIT_BITS = 11
_DIGITS = 1 << _DIGIT_BITS
_PASSES = 3  # of 11 bits: a float32 has 32
_LEVEL_SLACK = np.float32(1e-4)
"""Added to the level: rounding may let a tile in where nothing is drawn, never leave one out."""
_PIXEL_SLACK = np.float32(1e-3)
_AHEAD = 16
"""Gaussians between the one that is prefetched and the one that is binned."""


@inlined
def tiles_along(size: int) -> int:
    """Tiles that cover ``size`` pixels."""
    return (size + TILE - 1) >> TILE_SHIFT


@inlined
def tile_at(position: float, size: float, count: int) -> int:
    """Index of the tile at a position in pixels, clamped to the image of that size and count."""
    # Clamped before it becomes an integer: truncating is floor for positive numbers, and 4x faster.
    return min(int32(count - 1), int32(min(max(position, float32(0)), size)) >> int32(TILE_SHIFT))


@inlined
def cutoff_level(cutoff: float) -> float:
    """The ellipse's level for a cutoff, with its slack."""
    return float32(2) * cutoff + _LEVEL_SLACK


@inlined
def extreme(
    across_level: float, inverse_across: float, cross: float, det: float, turn: float, sign: float
) -> float:
    """The extreme ``(-cross turn + sign sqrt(across level - det turn^2)) / across``."""
    inside = max(float32(0), across_level - det * turn * turn)
    return (-cross * turn + sign * math.sqrt(inside)) * inverse_across


@serial_kernel
def order_by_depth(
    projection: Projection,
) -> Int32[np.ndarray, " visible"]:
    """Indices of the Gaussians in view, nearest first; equal depths keep their order.

    A least-significant-digit radix sort of the bits of the depths, which for positive floats order
    as the numbers do.
    """
    projected, _, tile_counts = projection
    visible = 0
    for n in range(tile_counts.shape[0]):
        if tile_counts[n] > 0:
            visible += 1
    order = np.empty(visible, np.int32)
    depths = np.empty(visible, np.float32)
    i = 0
    for n in range(tile_counts.shape[0]):
        if tile_counts[n] > 0:
            order[i] = n
            depths[i] = projected[n, DEPTH]
            i += 1
    keys = depths.view(np.uint32)
    next_order = np.empty(visible, np.int32)
    next_keys = np.empty(visible, np.uint32)

    mask = np.uint32(_DIGITS - 1)
    starts = np.zeros((_PASSES, _DIGITS), np.int32)
    for i in range(visible):
        for radix in range(_PASSES):
            starts[radix, (keys[i] >> np.uint32(radix * _DIGIT_BITS)) & mask] += 1
    for radix in range(_PASSES):
        total = 0
        for digit in range(_DIGITS):
            count = starts[radix, digit]
            starts[radix, digit] = total
            total += count
    for radix in range(_PASSES):
        shift = np.uint32(radix * _DIGIT_BITS)
        for i in range(visible):
            digit = (keys[i] >> shift) & mask
            place = starts[radix, digit]
            starts[radix, digit] = place + 1
            next_keys[place] = keys[i]
            next_order[place] = order[i]
        keys, next_keys = next_keys, keys
        order, next_order = next_order, order
    return order


@parallel_kernel
def bin_into_tiles(
    projection: Projection,
    order: Int32[np.ndarray, " visible"],
    width: int,
    height: int,
    threads: int,
) -> tuple[Int32[np.ndarray, " tiles_and_one"], Int32[np.ndarray, " pairs"]]:
    """For each tile, in row-major order, the Gaussians that touch it, in ``order``.

    Returns:
        ``starts`` and ``members``: tile i holds ``members[starts[i]:starts[i + 1]]``.

    A counting sort. Each thread takes a consecutive part of the order and lists its (tile,
    Gaussian) pairs; the counts then give each thread the place of its pairs in each tile, behind
    those of the threads before it.
    """
    projected, radii, tile_counts = projection
    visible = order.shape[0]
    columns = tiles_along(width)
    rows = tiles_along(height)
    tiles = columns * rows
    width_px = float32(width)
    height_px = float32(height)
    zero = float32(0)
    one = float32(1)

    parts = np.empty(threads + 1, np.int64)
    room = np.zeros(threads + 1, np.int64)
    for thread in range(threads + 1):
        parts[thread] = visible * thread // threads
    for thread in prange(threads):
        count = 0
        for i in range(parts[thread], parts[thread + 1]):
            count += tile_counts[order[i]]
        room[thread + 1] = count
    for thread in range(threads):
        room[thread + 1] += room[thread]
    pair_tiles = np.empty(room[threads], np.int32)
    pair_members = np.empty(room[threads], np.int32)
    pairs = np.zeros(threads, np.int64)
    counts = np.zeros((threads, tiles), np.int32)

    flat_projected = projected.reshape(-1)
    flat_radii = radii.reshape(-1)
    for thread in prange(threads):
        pair = room[thread]
        for i in range(parts[thread], parts[thread + 1]):
            n = order[i]
            if i + _AHEAD < visible:
                prefetch(flat_projected, order[i + _AHEAD] * PROJECTED)
                prefetch(flat_radii, order[i + _AHEAD] * 2)
            mean_x = projected[n, MEAN_X]
            mean_y = projected[n, MEAN_Y]
            radius_x = float32(radii[n, 0])
            radius_y = float32(radii[n, 1])
            xx = projected[n, CONIC_XX]
            xy = projected[n, CONIC_XY]
            yy = projected[n, CONIC_YY]
            det = projected[n, CONIC_DET]
            level = cutoff_level(projected[n, CUTOFF])
            xx_level = xx * level
            inverse_xx = one / xx
            reach_y = math.sqrt(xx_level / det)
            right_end = -xy * math.sqrt(level / (yy * det))
            first_column = tile_at(mean_x - radius_x, width_px, columns)
            last_column = tile_at(mean_x + radius_x, width_px, columns)
            for row in range(
                tile_at(mean_y - radius_y, height_px, rows),
                tile_at(mean_y + radius_y, height_px, rows) + 1,
            ):
                first_centre = float32(row << TILE_SHIFT) + float32(0.5) - mean_y
                top = max(first_centre, -reach_y)
                bottom = min(first_centre + float32(TILE - 1), reach_y)
                if top > bottom:
                    continue
                # The same in pixel indices: centre j + 0.5 lies inside for left <= j <= right.
                turn = min(max(right_end, top), bottom)
                right = (
                    mean_x
                    - float32(0.5)
                    + extreme(xx_level, inverse_xx, xy, det, turn, one)
                    + _PIXEL_SLACK
                )
                turn = min(max(-right_end, top), bottom)
                left = (
                    mean_x
                    - float32(0.5)
                    + extreme(xx_level, inverse_xx, xy, det, turn, -one)
                    - _PIXEL_SLACK
                )
                if right < zero or left > width_px - one:
                    continue
                # Truncation of positive numbers is floor; ceil(x) is floor(x + 2) - 1 or better.
                first_pixel = int32(max(left, -one) + float32(2)) - int32(1)
                last_pixel = int32(min(right, width_px - one))
                if first_pixel > last_pixel:
                    continue
                # Never beyond the columns that tile_counts made room for.
                first = max(first_column, first_pixel >> int32(TILE_SHIFT))
                last = min(last_column, last_pixel >> int32(TILE_SHIFT))
                for column in range(first, last + 1):
                    tile = row * columns + column
                    pair_tiles[pair] = tile
                    pair_members[pair] = n
                    counts[thread, tile] += 1
                    pair += 1
        pairs[thread] = pair - room[thread]

    starts = np.empty(tiles + 1, np.int32)
    total = 0
    for tile in range(tiles):
        starts[tile] = total
        for thread in range(threads):
            count = counts[thread, tile]
            counts[thread, tile] = total
            total += count
    starts[tiles] = total
    members = np.empty(total, np.int32)
    for thread in prange(threads):
        for pair in range(room[thread], room[thread] + pairs[thread]):
            tile = pair_tiles[pair]
            place = counts[thread, tile]
            counts[thread, tile] = place + 1
            members[place] = pair_members[pair]
    return starts, members
