"""The CPU kernels of the plane sweep.

A photo is kept as one 64-bit word a pixel: red, green, blue, and 255 where the pixel may be used,
in lanes of 16 bits. Positions are rounded to a sixteenth of a pixel, so that the four weights of a
bilinear sample are whole numbers that sum to 256, and four products of words with weights are the
sample, all lanes at once: none overflows, 255 * 256 < 2^16.
"""

import numpy as np
from jaxtyping import Float32, Int32, UInt64
from numba import float32, int32, prange, uint64

from tasks.runtime.jit import inlined, parallel_kernel

STRIP = 32
"""Rows that a thread takes at a time; rows around them are worked out again by its neighbours."""
MISSING = 0.5
"""Disagreement where fewer than two photos see a pixel: worse than almost any that do."""
SUBPIXELS = 16
FULL = 255 * SUBPIXELS**2
"""A lane of a sample where all four pixels are at their most."""


@inlined
def _sample_row(
    row: int,
    depth: Float32[np.ndarray, " w"],
    a: Float32[np.ndarray, "3 3"],
    b: Float32[np.ndarray, "3"],
    photo: UInt64[np.ndarray, " pixels"],
    photo_width: int,
    photo_height: int,
    stride: int,
    places: Int32[np.ndarray, "6 w"],
    samples: UInt64[np.ndarray, " w"],
) -> None:
    """Bilinear samples of one photo where a row of the view sees it; 0 where it does not.

    Pixel (x, y) of the view at depth z lies at the homogeneous pixel ``z a (x, y, 1) + b``.
    """
    y = float32(row) + float32(0.5)
    u0 = a[0, 1] * y + a[0, 2]
    v0 = a[1, 1] * y + a[1, 2]
    far0 = a[2, 1] * y + a[2, 2]
    a_u, a_v, a_far = a[0, 0], a[1, 0], a[2, 0]
    b_u, b_v, b_far = b[0], b[1], b[2]
    zero, one, half = float32(0), float32(1), float32(0.5)
    wide, high = float32(photo_width), float32(photo_height)
    parts = float32(SUBPIXELS)
    # Arithmetic alone, which the compiler turns into vectors; a load from a place that depends on
    # data would keep it from that.
    for column in range(depth.shape[0]):
        x = float32(column) + half
        z = depth[column]
        far = z * (a_far * x + far0) + b_far
        # Behind the camera nothing is meant; any finite place will do.
        inverse = one / max(far, float32(1e-6) * z)
        u = (z * (a_u * x + u0) + b_u) * inverse
        v = (z * (a_v * x + v0) + b_v) * inverse
        inside = (far > zero) & (u >= zero) & (v >= zero) & (u < wide) & (v < high)
        at_x = int32(min(max(u - half, zero), wide - one) * parts + half)
        at_y = int32(min(max(v - half, zero), high - one) * parts + half)
        left = at_x // int32(SUBPIXELS)
        top = at_y // int32(SUBPIXELS)
        places[0, column] = top * int32(stride) + left
        places[1, column] = int32(1) if left + int32(1) < int32(photo_width) else int32(0)
        places[2, column] = int32(stride) if top + int32(1) < int32(photo_height) else int32(0)
        places[3, column] = at_x - left * int32(SUBPIXELS)
        places[4, column] = at_y - top * int32(SUBPIXELS)
        places[5, column] = int32(1) if inside else int32(0)
    for column in range(depth.shape[0]):
        corner = uint64(places[0, column])
        right = corner + uint64(places[1, column])
        below = corner + uint64(places[2, column])
        below_right = right + uint64(places[2, column])
        to_right = uint64(places[3, column])
        to_bottom = uint64(places[4, column])
        to_left = uint64(SUBPIXELS) - to_right
        to_top = uint64(SUBPIXELS) - to_bottom
        samples[column] = uint64(places[5, column]) * (
            photo[corner] * (to_left * to_top)
            + photo[right] * (to_right * to_top)
            + photo[below] * (to_left * to_bottom)
            + photo[below_right] * (to_right * to_bottom)
        )


@inlined
def _lane(sample: int, lane: int) -> float:
    return float32(int32((sample >> uint64(16 * lane)) & uint64(0xFFFF)))


@inlined
def _disagree(
    samples: UInt64[np.ndarray, "k w"],
    sums: Float32[np.ndarray, "4 w"],
    disagreement: Float32[np.ndarray, " w"],
) -> None:
    """Mean absolute difference from the mean of the photos that see a pixel, in [0, 1]."""
    one, full = float32(1), float32(FULL)
    width = disagreement.shape[0]
    for column in range(width):
        sums[0, column] = float32(0)
        sums[1, column] = float32(0)
        sums[2, column] = float32(0)
        sums[3, column] = float32(0)
        disagreement[column] = float32(0)
    for k in range(samples.shape[0]):
        for column in range(width):
            sample = samples[k, column]
            valid = one if _lane(sample, 3) == full else float32(0)
            sums[0, column] += valid * _lane(sample, 0)
            sums[1, column] += valid * _lane(sample, 1)
            sums[2, column] += valid * _lane(sample, 2)
            sums[3, column] += valid
    for column in range(width):
        inverse = one / max(sums[3, column], one)
        sums[0, column] *= inverse
        sums[1, column] *= inverse
        sums[2, column] *= inverse
    for k in range(samples.shape[0]):
        for column in range(width):
            sample = samples[k, column]
            valid = one if _lane(sample, 3) == full else float32(0)
            disagreement[column] += valid * (
                abs(_lane(sample, 0) - sums[0, column])
                + abs(_lane(sample, 1) - sums[1, column])
                + abs(_lane(sample, 2) - sums[2, column])
            )
    for column in range(width):
        count = sums[3, column]
        mean = disagreement[column] / (max(count, one) * float32(3 * FULL))
        disagreement[column] = mean if count > float32(1.5) else float32(MISSING)


@parallel_kernel
def search(
    depth: Float32[np.ndarray, "h w"],
    start: Float32[np.ndarray, "h w"],
    steps: Float32[np.ndarray, " planes"],
    maps: Float32[np.ndarray, "k 3 3"],
    offsets: Float32[np.ndarray, "k 3"],
    photos: UInt64[np.ndarray, "k pixels"],
    sizes: Int32[np.ndarray, "k 2"],
    stride: int,
    radius: int,
    distance_penalty: np.float32,
    shift: Float32[np.ndarray, "h w"],
    cost: Float32[np.ndarray, "h w"],
) -> None:
    """Find the ``shift`` in ``start + steps`` at which the photos agree best at
    ``depth (1 + shift)``, and the mean disagreement there, penalty left out."""
    height, width = depth.shape
    count = maps.shape[0]
    strips = (height + STRIP - 1) // STRIP
    for strip in prange(strips):
        first = strip * STRIP
        end = min(first + STRIP, height)
        outer_first = max(0, first - radius)
        outer_end = min(height, end + radius)
        rows = outer_end - outer_first
        disagreement = np.empty((rows, width), np.float32)
        places = np.empty((6, width), np.int32)
        samples = np.empty((count, width), np.uint64)
        channel_sums = np.empty((4, width), np.float32)
        tried = np.empty(width, np.float32)
        column_sums = np.zeros(width + 2 * radius, np.float32)
        window_sums = np.empty(width, np.float32)
        best = np.full((end - first, width), float32(np.inf))
        inverse_columns = np.empty(width, np.float32)
        for column in range(width):
            covered = min(width, column + radius + 1) - max(0, column - radius)
            inverse_columns[column] = float32(1) / float32(covered)
        for plane in range(steps.shape[0]):
            step = steps[plane]
            for r in range(rows):
                row = outer_first + r
                for column in range(width):
                    tried[column] = depth[row, column] * (float32(1) + (start[row, column] + step))
                for k in range(count):
                    _sample_row(
                        row,
                        tried,
                        maps[k],
                        offsets[k],
                        photos[k],
                        sizes[k, 0],
                        sizes[k, 1],
                        stride,
                        places,
                        samples[k],
                    )
                _disagree(samples, channel_sums, disagreement[r])
            for row in range(first, end):
                top = max(outer_first, row - radius) - outer_first
                bottom = min(outer_end, row + radius + 1) - outer_first
                inverse_rows = float32(1) / float32(bottom - top)
                inner = column_sums[radius : radius + width]
                inner[:] = float32(0)
                for r in range(top, bottom):
                    for column in range(width):
                        inner[column] += disagreement[r, column]
                window_sums[:] = float32(0)
                for offset in range(2 * radius + 1):
                    for column in range(width):
                        window_sums[column] += column_sums[column + offset]
                for column in range(width):
                    mean = window_sums[column] * inverse_rows * inverse_columns[column]
                    moved = start[row, column] + step
                    penalised = mean + distance_penalty * abs(moved)
                    if penalised < best[row - first, column]:
                        best[row - first, column] = penalised
                        cost[row, column] = mean
                        shift[row, column] = moved


@parallel_kernel
def warp(
    depth: Float32[np.ndarray, "h w"],
    maps: Float32[np.ndarray, "k 3 3"],
    offsets: Float32[np.ndarray, "k 3"],
    photos: UInt64[np.ndarray, "k pixels"],
    sizes: Int32[np.ndarray, "k 2"],
    stride: int,
    warped: Float32[np.ndarray, "k h w 3"],
    valid: Float32[np.ndarray, "k h w"],
) -> None:
    """The photos as the view sees them at ``depth``; 0 where it does not."""
    height, width = depth.shape
    scale = float32(1 / FULL)
    for row in prange(height):
        places = np.empty((6, width), np.int32)
        samples = np.empty(width, np.uint64)
        for k in range(maps.shape[0]):
            _sample_row(
                row,
                depth[row],
                maps[k],
                offsets[k],
                photos[k],
                sizes[k, 0],
                sizes[k, 1],
                stride,
                places,
                samples,
            )
            for column in range(width):
                sample = samples[column]
                seen = float32(1) if _lane(sample, 3) == float32(FULL) else float32(0)
                valid[k, row, column] = seen
                for channel in range(3):
                    warped[k, row, column, channel] = seen * scale * _lane(sample, channel)


@parallel_kernel
def median(
    values: Float32[np.ndarray, "h w"], radius: int, filtered: Float32[np.ndarray, "h w"]
) -> None:
    """Median over the square around each pixel; the border is repeated beyond itself.

    Of the values still in question, the least and the greatest cannot be the median: each round
    moves them to the ends and drops both, for all pixels of a row at once.
    """
    height, width = values.shape
    side = 2 * radius + 1
    kept = (side * side) // 2 + 2
    for row in prange(height):
        window = np.empty((side * side, width), np.float32)
        for place in range(side * side):
            line = values[min(max(row + place // side - radius, 0), height - 1)]
            for column in range(width):
                window[place, column] = line[min(max(column + place % side - radius, 0), width - 1)]
        first, last = 0, min(kept, side * side) - 1
        following = last + 1
        while last > first:
            for place in range(first, last):
                _exchange(window[place], window[place + 1])
            for place in range(last - 1, first, -1):
                _exchange(window[place - 1], window[place])
            first += 1
            if following < side * side:
                # In place of the greatest.
                window[last, :] = window[following]
                following += 1
            else:
                last -= 1
        filtered[row, :] = window[first]


@inlined
def _exchange(less: Float32[np.ndarray, " w"], more: Float32[np.ndarray, " w"]) -> None:
    for column in range(less.shape[0]):
        one, other = less[column], more[column]
        less[column] = min(one, other)
        more[column] = max(one, other)
