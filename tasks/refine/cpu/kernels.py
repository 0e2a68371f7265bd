"""The CPU kernels of refinement by photos.

Images are read as they lie, channels last. A row, a strip of rows or an image is one thread's, and
sums are taken in one order, so that results do not depend on how many threads there are.
"""

import math

import numpy as np
from jaxtyping import Float32, Float64
from numba import float32, float64, prange

from tasks.runtime.jit import inlined, parallel_kernel

STRIP = 16
"""Rows that a thread takes at a time: with those around them they stay in a core's own cache."""
LEAST_MASS = 1e-6
LEAST_WEIGHT = 1e-9


@parallel_kernel
def fit_colours(
    source: Float32[np.ndarray, "n 3 m"],
    wanted: Float32[np.ndarray, "n 3 m"],
    prior: Float32[np.ndarray, "n m"],
    rounds: int,
    residual_scale: float,
    strength: float,
    anchor: float,
    max_gain: float,
    max_offset: float,
    gain: Float32[np.ndarray, "n 3"],
    offset: Float32[np.ndarray, "n 3"],
) -> None:
    """Gains and offsets of :func:`tasks.refine.photos.colour.colour_change`."""
    for place in prange(source.shape[0] * 3):
        image, channel = place // 3, place % 3
        x, y, weights = source[image, channel], wanted[image, channel], prior[image]
        slope, shift = 1.0, 0.0
        for turn in range(rounds):
            # There are no residuals before the first round.
            inverse = float32(1 / residual_scale) if turn > 0 else float32(0)
            slope_32, shift_32 = float32(slope), float32(shift)
            mass, sum_x, sum_y, sum_xx, sum_xy = 0.0, 0.0, 0.0, 0.0, 0.0
            for pixel in range(x.shape[0]):
                residual = (slope_32 * x[pixel] + shift_32 - y[pixel]) * inverse
                weight = weights[pixel] / (float32(1) + residual * residual)
                # Exact as products, so that what cancels below is not rounded before.
                w, u, v = float64(weight), float64(x[pixel]), float64(y[pixel])
                mass += w
                sum_x += w * u
                sum_y += w * v
                sum_xx += w * u * u
                sum_xy += w * u * v
            safe = max(mass, LEAST_MASS)
            mean, wanted_mean = sum_x / safe, sum_y / safe
            covariance = sum_xy - mean * sum_y - wanted_mean * sum_x + mass * mean * wanted_mean
            variance = sum_xx - 2 * mean * sum_x + mass * mean * mean
            slope = (covariance + anchor) / (variance + anchor)
            slope = min(max(slope, 1 / max_gain), max_gain)
            shift = mass * (wanted_mean - slope * mean) / (mass + strength)
            shift = min(max(shift, -max_offset), max_offset)
        gain[image, channel] = float32(slope)
        offset[image, channel] = float32(shift)


@inlined
def _aligned(value: float, gain: float, offset: float) -> float:
    return min(max(gain * value + offset, float32(0)), float32(1))


@parallel_kernel
def fuse(
    photos: Float32[np.ndarray, "b k h w 3"],
    valid: Float32[np.ndarray, "b k h w"],
    gain: Float32[np.ndarray, "b k 3"],
    offset: Float32[np.ndarray, "b k 3"],
    ranks: Float32[np.ndarray, " k"],
    radius: int,
    outlier_scale: float,
    fused: Float32[np.ndarray, "b h w 3"],
) -> None:
    """The mean of :func:`tasks.refine.photos.align.fuse`, of photos that are aligned here."""
    views, count, height, width = valid.shape
    strips = (height + STRIP - 1) // STRIP
    inverse_scale = float32(1 / outlier_scale)
    third = float32(1 / 3)
    for place in prange(views * strips):
        view, first = place // strips, place % strips * STRIP
        end = min(first + STRIP, height)
        outer_first, outer_end = max(0, first - radius), min(height, end + radius)
        rows = outer_end - outer_first
        aligned = np.empty((rows, count, 3, width), np.float32)
        outlying = np.empty((rows, count, width), np.float32)
        mean = np.empty((3, width), np.float32)
        total = np.empty(width, np.float32)
        column_sums = np.zeros(width + 2 * radius, np.float32)
        weights = np.empty(width, np.float32)
        inverse_columns = np.empty(width, np.float32)
        for column in range(width):
            covered = min(width, column + radius + 1) - max(0, column - radius)
            inverse_columns[column] = inverse_scale / float32(covered)
        for r in range(rows):
            mean[:] = float32(0)
            total[:] = float32(0)
            for k in range(count):
                _align_row(
                    photos[view, k, outer_first + r], gain[view, k], offset[view, k], aligned[r, k]
                )
                seen, rank = valid[view, k, outer_first + r], ranks[k]
                for column in range(width):
                    weights[column] = rank * seen[column]
                _add_weighted(aligned[r, k], weights, mean, total)
            _divide(mean, total)
            for k in range(count):
                red, green, blue = aligned[r, k, 0], aligned[r, k, 1], aligned[r, k, 2]
                for column in range(width):
                    outlying[r, k, column] = third * (
                        abs(red[column] - mean[0, column])
                        + abs(green[column] - mean[1, column])
                        + abs(blue[column] - mean[2, column])
                    )
        for row in range(first, end):
            top = max(outer_first, row - radius) - outer_first
            bottom = min(outer_end, row + radius + 1) - outer_first
            inverse_rows = float32(1) / float32(bottom - top)
            r = row - outer_first
            mean[:] = float32(0)
            total[:] = float32(0)
            for k in range(count):
                inner = column_sums[radius : radius + width]
                inner[:] = float32(0)
                for around in range(top, bottom):
                    for column in range(width):
                        inner[column] += outlying[around, k, column]
                weights[:] = float32(0)
                for shift in range(2 * radius + 1):
                    for column in range(width):
                        weights[column] += column_sums[column + shift]
                # By itself: the exponential is a call, which keeps a loop from becoming vectors.
                for column in range(width):
                    weights[column] = math.exp(
                        -(weights[column] * inverse_rows * inverse_columns[column])
                    )
                seen, rank = valid[view, k, row], ranks[k]
                for column in range(width):
                    weights[column] *= rank * seen[column]
                _add_weighted(aligned[r, k], weights, mean, total)
            _divide(mean, total)
            line = fused[view, row]
            for column in range(width):
                line[column, 0] = mean[0, column]
                line[column, 1] = mean[1, column]
                line[column, 2] = mean[2, column]


@inlined
def _align_row(
    photo: Float32[np.ndarray, "w 3"],
    gain: Float32[np.ndarray, "3"],
    offset: Float32[np.ndarray, "3"],
    aligned: Float32[np.ndarray, "3 w"],
) -> None:
    gain_0, gain_1, gain_2 = gain[0], gain[1], gain[2]
    offset_0, offset_1, offset_2 = offset[0], offset[1], offset[2]
    for column in range(photo.shape[0]):
        aligned[0, column] = _aligned(photo[column, 0], gain_0, offset_0)
        aligned[1, column] = _aligned(photo[column, 1], gain_1, offset_1)
        aligned[2, column] = _aligned(photo[column, 2], gain_2, offset_2)


@inlined
def _add_weighted(
    planes: Float32[np.ndarray, "3 w"],
    weights: Float32[np.ndarray, " w"],
    sums: Float32[np.ndarray, "3 w"],
    total: Float32[np.ndarray, " w"],
) -> None:
    for column in range(weights.shape[0]):
        weight = weights[column]
        total[column] += weight
        sums[0, column] += weight * planes[0, column]
        sums[1, column] += weight * planes[1, column]
        sums[2, column] += weight * planes[2, column]


@inlined
def _divide(sums: Float32[np.ndarray, "3 w"], total: Float32[np.ndarray, " w"]) -> None:
    for column in range(total.shape[0]):
        inverse = float32(1) / max(total[column], float32(LEAST_WEIGHT))
        sums[0, column] *= inverse
        sums[1, column] *= inverse
        sums[2, column] *= inverse


@parallel_kernel
def box_mean(
    images: Float32[np.ndarray, "n h wc"],
    channels: int,
    radius: int,
    means: Float32[np.ndarray, "n h wc"],
) -> None:
    """Means over squares by running sums, in double precision: values enter and leave the sum.

    Args:
        channels: of a pixel; those of a row lie one behind the other.
    """
    count, height, extent = images.shape
    width = extent // channels
    strip = max(STRIP, radius)
    strips = (height + strip - 1) // strip
    reach = radius * channels
    for place in prange(count * strips):
        image, first = place // strips, place % strips * strip
        end = min(first + strip, height)
        sums = np.zeros(extent, np.float64)
        # Of all columns before one, so far beyond the borders that no cases are needed.
        before = np.zeros(extent + 2 * reach + channels, np.float64)
        inverse_columns = np.empty(extent, np.float64)
        for column in range(width):
            covered = min(width, column + radius + 1) - max(0, column - radius)
            for channel in range(channels):
                inverse_columns[column * channels + channel] = 1.0 / covered
        for row in range(max(0, first - radius), min(height, first + radius)):
            for at in range(extent):
                sums[at] += images[image, row, at]
        for row in range(first, end):
            if row + radius < height:
                for at in range(extent):
                    sums[at] += images[image, row + radius, at]
            if row > first and row - radius - 1 >= 0:
                for at in range(extent):
                    sums[at] -= images[image, row - radius - 1, at]
            start = reach + channels
            for at in range(extent):
                before[start + at] = before[start + at - channels] + sums[at]
            for at in range(start + extent, before.shape[0]):
                before[at] = before[at - channels]
            covered = min(height, row + radius + 1) - max(0, row - radius)
            inverse_rows = 1.0 / covered
            for at in range(extent):
                within = before[at + 2 * reach + channels] - before[at]
                means[image, row, at] = float32(within * inverse_rows * inverse_columns[at])


@parallel_kernel
def subtract(
    images: Float32[np.ndarray, "b h w 3"],
    others: Float32[np.ndarray, "b h w 3"],
    share: Float32[np.ndarray, "b h w"],
    differences: Float32[np.ndarray, "b h w 3"],
) -> None:
    """A share of ``images - others``."""
    views, height, width = share.shape
    for place in prange(views * height):
        view, row = place // height, place % height
        for column in range(width):
            for channel in range(3):
                differences[view, row, column, channel] = share[view, row, column] * (
                    images[view, row, column, channel] - others[view, row, column, channel]
                )


@parallel_kernel
def paint(
    render: Float32[np.ndarray, "b h w 3"],
    difference: Float32[np.ndarray, "b h w 3"],
    colour: Float32[np.ndarray, "b h w 3"],
    agreed: Float32[np.ndarray, "b h w"],
    colour_trust: Float32[np.ndarray, "b h w"],
    detail_trust: Float32[np.ndarray, "b h w"],
    image: Float32[np.ndarray, "b h w 3"],
) -> None:
    """The render plus the weighted colour and detail of a difference."""
    views, height, width = agreed.shape
    zero, one = float32(0), float32(1)
    for place in prange(views * height):
        view, row = place // height, place % height
        for column in range(width):
            of_colour = agreed[view, row, column] * colour_trust[view, row, column]
            of_detail = agreed[view, row, column] * detail_trust[view, row, column]
            for channel in range(3):
                low = colour[view, row, column, channel]
                high = difference[view, row, column, channel] - low
                value = render[view, row, column, channel] + (of_colour * low + of_detail * high)
                image[view, row, column, channel] = min(max(value, zero), one)


@parallel_kernel
def differ(
    images: Float32[np.ndarray, "b h w 3"],
    others: Float32[np.ndarray, "b h w 3"],
    weight: Float32[np.ndarray, "b h w"],
    sums: Float64[np.ndarray, "b h"],
) -> None:
    """Weighted sum of each row's absolute differences, mean over channels."""
    views, height, width = weight.shape
    for place in prange(views * height):
        view, row = place // height, place % height
        total = 0.0
        for column in range(width):
            apart = (
                abs(images[view, row, column, 0] - others[view, row, column, 0])
                + abs(images[view, row, column, 1] - others[view, row, column, 1])
                + abs(images[view, row, column, 2] - others[view, row, column, 2])
            )
            total += weight[view, row, column] * apart
        sums[view, row] = total / 3


@inlined
def _between(start: float, end: float, share: float) -> float:
    """Exactly ``start`` at 0, and ``end`` at 1."""
    step = end - start
    near = start + share * step
    far = end - (float32(1) - share) * step
    return near if share < float32(0.5) else far


@parallel_kernel
def show(
    photos: Float32[np.ndarray, "b k h w 3"],
    valid: Float32[np.ndarray, "b k h w"],
    gain: Float32[np.ndarray, "b k 3"],
    offset: Float32[np.ndarray, "b k 3"],
    pictures: Float32[np.ndarray, "b n h w 3"],
    first: int,
    count: int,
) -> None:
    """The first ``count`` photos with colours aligned, where they are valid, else the render.

    Args:
        pictures: the render, and from the ``first`` on what is written.
    """
    views, _, height, width = valid.shape
    for place in prange(views * count * height):
        view, k, row = place // (count * height), place // height % count, place % height
        gain_0, gain_1, gain_2 = gain[view, k, 0], gain[view, k, 1], gain[view, k, 2]
        offset_0, offset_1, offset_2 = offset[view, k, 0], offset[view, k, 1], offset[view, k, 2]
        photo, below, seen = photos[view, k, row], pictures[view, 0, row], valid[view, k, row]
        picture = pictures[view, first + k, row]
        for column in range(width):
            share = seen[column]
            picture[column, 0] = _between(
                below[column, 0], _aligned(photo[column, 0], gain_0, offset_0), share
            )
            picture[column, 1] = _between(
                below[column, 1], _aligned(photo[column, 1], gain_1, offset_1), share
            )
            picture[column, 2] = _between(
                below[column, 2], _aligned(photo[column, 2], gain_2, offset_2), share
            )


@parallel_kernel
def blend(
    start: Float32[np.ndarray, "b h w 3"],
    end: Float32[np.ndarray, "b h w 3"],
    share: Float32[np.ndarray, "b h w"],
    image: Float32[np.ndarray, "b h w 3"],
) -> None:
    """So far from ``start`` toward ``end``, which is cut off at 0 and 1."""
    views, height, width = share.shape
    for place in prange(views * height):
        view, row = place // height, place % height
        for column in range(width):
            for channel in range(3):
                image[view, row, column, channel] = _between(
                    start[view, row, column, channel],
                    min(max(end[view, row, column, channel], float32(0)), float32(1)),
                    share[view, row, column],
                )
