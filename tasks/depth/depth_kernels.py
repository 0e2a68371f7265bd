"""The CPU kernels that find a photo's depths.

A photo is kept as one 32-bit word a pixel: the grey levels, 1 to 255, of the pixel, its right, its
lower and its lower right neighbour. One load then gives all that a bilinear sample needs, and all
else is arithmetic on rows, which the compiler turns into vectors. A word is 0 where one of the four
may not be used; word 0 of a photo stands for everything outside of it.

Depths are counted in inverse depths q = 1 / z: pixel p = (x, y, 1) lies at the homogeneous pixel
``A p + q b`` of another photo (:mod:`tasks.depth.reprojection`): equal steps of q are nearly
equal steps there.
"""

import math

import numpy as np
from jaxtyping import Float32, Int32, UInt8, UInt16, UInt32
from numba import float32, int32, prange, uint8, uint16, uint32

from tasks.runtime.jit import inlined, parallel_kernel

RADIUS = 3
"""Photos are correlated over squares that reach so far from their middle, px."""
SIDE = 2 * RADIUS + 1
STRIP = 24
"""Rows that a thread takes at a time; rows around them are sampled again by its neighbours."""
WORST = 255
"""Cost where the photos do not correlate, or too few show the pixel; 0 where they do entirely."""
UNSEEN = 2.0
"""Instead of a cost, of windows that a photo does not show whole."""
ALONE = 0.15
"""Cost, on top of its own, of a depth that only one of several photos can speak for."""
NOISE = 4.0
"""Variance that grey levels have without texture: correlation sinks where there is no more."""
MID_GREY = 128.0


@inlined
def _sample_row(
    row: int,
    inverse: Float32[np.ndarray, " w"],
    step: float,
    a: Float32[np.ndarray, "3 3"],
    b: Float32[np.ndarray, "3"],
    words: UInt32[np.ndarray, " words"],
    photo_width: int,
    photo_height: int,
    stride: int,
    places: Int32[np.ndarray, " w"],
    corners: UInt32[np.ndarray, " w"],
    shares: Float32[np.ndarray, "2 w"],
) -> None:
    """Find the words, and the place between their pixels, where a photo sees a row's pixels."""
    y = float32(row) + float32(0.5)
    u0 = a[0, 1] * y + a[0, 2]
    v0 = a[1, 1] * y + a[1, 2]
    far0 = a[2, 1] * y + a[2, 2]
    a_u, a_v, a_far = a[0, 0], a[1, 0], a[2, 0]
    b_u, b_v, b_far = b[0], b[1], b[2]
    zero, one, half = float32(0), float32(1), float32(0.5)
    wide, high = float32(photo_width - 1), float32(photo_height - 1)
    for column in range(inverse.shape[0]):
        x = float32(column) + half
        q = max(inverse[column] + step, zero)
        far = a_far * x + far0 + q * b_far
        nearness = one / max(far, float32(1e-6))
        u = (a_u * x + u0 + q * b_u) * nearness - half
        v = (a_v * x + v0 + q * b_v) * nearness - half
        inside = (far > zero) & (u >= zero) & (v >= zero) & (u < wide) & (v < high)
        u = min(max(u, zero), wide)
        v = min(max(v, zero), high)
        left, top = int32(u), int32(v)
        shares[0, column] = u - float32(left)
        shares[1, column] = v - float32(top)
        places[column] = top * int32(stride) + left + int32(1) if inside else int32(0)
    for column in range(inverse.shape[0]):
        corners[column] = words[places[column]]


@parallel_kernel
def match(
    inverse: Float32[np.ndarray, "h w"],
    steps: Float32[np.ndarray, " planes"],
    grey: UInt8[np.ndarray, "h w"],
    maps: Float32[np.ndarray, "k 3 3"],
    offsets: Float32[np.ndarray, "k 3"],
    words: UInt32[np.ndarray, "k words"],
    sizes: Int32[np.ndarray, "k 2"],
    stride: int,
    costs: UInt8[np.ndarray, "h w planes"],
) -> None:
    """How badly a photo correlates with others at inverse depths ``inverse + steps``.

    The cost is 255 (1 - c) for c the mean normalised correlation with the two photos that
    correlate best, of those that show the window whole; where just one of several does, it is
    ``ALONE`` worse than that one's, and 255 where none does. Negative correlations count 0.
    ``grey`` is 0 where the photo may not be used: windows leave out those pixels, as they do what
    lies beyond the photo's border.
    """
    height, width = inverse.shape
    count = maps.shape[0]
    zero, one = float32(0), float32(1)
    padded = width + 2 * RADIUS
    for strip in prange((height + STRIP - 1) // STRIP):
        first = strip * STRIP
        end = min(first + STRIP, height)
        outer_first = max(0, first - RADIUS)
        outer_end = min(height, end + RADIUS)
        rows = outer_end - outer_first
        places = np.empty(width, np.int32)
        corners = np.empty(width, np.uint32)
        shares = np.empty((2, width), np.float32)
        # Of each row: whether the other photo shows the pixel, its level there, the level's
        # square and its product with this photo's level.
        samples = np.empty((4, rows, width), np.float32)
        sums = np.zeros((4, padded), np.float32)
        own = np.empty((rows, width), np.float32)
        usable = np.empty((rows, width), np.float32)
        # Of the windows about the strip's pixels: pixels, sum of levels and variance.
        pixels = np.empty((end - first, width), np.float32)
        level = np.empty((end - first, width), np.float32)
        spread = np.empty((end - first, width), np.float32)
        best = np.empty((end - first, width), np.float32)
        second = np.empty((end - first, width), np.float32)
        for r in range(rows):
            for column in range(width):
                value = grey[outer_first + r, column]
                usable[r, column] = one if value > 0 else zero
                own[r, column] = (float32(value) - float32(MID_GREY)) * usable[r, column]
                samples[0, r, column] = usable[r, column]
                samples[1, r, column] = own[r, column]
                samples[2, r, column] = own[r, column] * own[r, column]
                samples[3, r, column] = zero
        for row in range(first, end):
            _window_columns(samples, sums, row, first, outer_first, outer_end)
            for column in range(width):
                n, total, squares = zero, zero, zero
                for offset in range(SIDE):
                    n += sums[0, column + offset]
                    total += sums[1, column + offset]
                    squares += sums[2, column + offset]
                share = one / max(n, one)
                pixels[row - first, column] = n
                level[row - first, column] = total * share
                spread[row - first, column] = squares * share - total * share * total * share
        for plane in range(steps.shape[0]):
            best[:] = float32(UNSEEN)
            second[:] = float32(UNSEEN)
            for k in range(count):
                for r in range(rows):
                    _sample_row(
                        outer_first + r,
                        inverse[outer_first + r],
                        steps[plane],
                        maps[k],
                        offsets[k],
                        words[k],
                        sizes[k, 0],
                        sizes[k, 1],
                        stride,
                        places,
                        corners,
                        shares,
                    )
                    for column in range(width):
                        word = corners[column]
                        seen = usable[r, column] if word != uint32(0) else zero
                        right, down = shares[0, column], shares[1, column]
                        upper_left = float32(int32(word & uint32(255)))
                        upper_right = float32(int32((word >> uint32(8)) & uint32(255)))
                        lower_left = float32(int32((word >> uint32(16)) & uint32(255)))
                        lower_right = float32(int32(word >> uint32(24)))
                        upper = upper_left + right * (upper_right - upper_left)
                        lower = lower_left + right * (lower_right - lower_left)
                        value = (upper + down * (lower - upper) - float32(MID_GREY)) * seen
                        samples[0, r, column] = seen
                        samples[1, r, column] = value
                        samples[2, r, column] = value * value
                        samples[3, r, column] = value * own[r, column]
                for row in range(first, end):
                    _window_columns(samples, sums, row, first, outer_first, outer_end)
                    for column in range(width):
                        n, total, squares, products = zero, zero, zero, zero
                        for offset in range(SIDE):
                            n += sums[0, column + offset]
                            total += sums[1, column + offset]
                            squares += sums[2, column + offset]
                            products += sums[3, column + offset]
                        share = one / max(n, one)
                        mean = total * share
                        variance = max(squares * share - mean * mean, zero)
                        covariance = products * share - mean * level[row - first, column]
                        both = (variance + float32(NOISE)) * (
                            max(spread[row - first, column], zero) + float32(NOISE)
                        )
                        whole = (n > pixels[row - first, column] - float32(0.5)) & (n > zero)
                        found = covariance / math.sqrt(both)
                        cost = one - max(found, zero) if whole else float32(UNSEEN)
                        better = min(best[row - first, column], cost)
                        second[row - first, column] = min(
                            second[row - first, column], max(best[row - first, column], cost)
                        )
                        best[row - first, column] = better
            for row in range(first, end):
                for column in range(width):
                    cost = best[row - first, column]
                    if count > 1:
                        other = second[row - first, column]
                        alone = cost + float32(ALONE)
                        cost = float32(0.5) * (cost + other) if other <= one else alone
                    level_255 = min(cost, one) * float32(WORST) + float32(0.5)
                    costs[row, column, plane] = uint8(int32(level_255))


@inlined
def _window_columns(
    samples: Float32[np.ndarray, "4 r w"],
    sums: Float32[np.ndarray, "4 padded"],
    row: int,
    first: int,
    outer_first: int,
    outer_end: int,
) -> None:
    """Sums over the rows of the windows about ``row``, out of those about the row before."""
    width = samples.shape[2]
    if row == first:
        for quantity in range(4):
            inner = sums[quantity, RADIUS : RADIUS + width]
            inner[:] = float32(0)
            for r in range(min(outer_end, row + RADIUS + 1) - outer_first):
                for column in range(width):
                    inner[column] += samples[quantity, r, column]
    else:
        for quantity in range(4):
            inner = sums[quantity, RADIUS : RADIUS + width]
            if row + RADIUS < outer_end:
                entering = samples[quantity, row + RADIUS - outer_first]
                for column in range(width):
                    inner[column] += entering[column]
            if row - RADIUS - 1 >= outer_first:
                leaving = samples[quantity, row - RADIUS - 1 - outer_first]
                for column in range(width):
                    inner[column] -= leaving[column]


@parallel_kernel
def smooth(
    costs: UInt8[np.ndarray, "h w planes"],
    grey: UInt8[np.ndarray, "h w"],
    small_penalty: np.float32,
    large_penalty: np.float32,
    edge: np.float32,
    sums: UInt16[np.ndarray, "2 h w planes"],
) -> None:
    """Least costs of eight straight paths that end at each pixel at each plane, summed.

    Along a path, a change by one plane costs ``small_penalty`` and any other ``large_penalty``,
    less where the grey level jumps: a jump of ``edge`` halves it. The paths from above and from the
    left are in ``sums[0]``, those from below and from the right in ``sums[1]``.

    Source: Hirschmueller, TPAMI 30(2), 2008, eqs. 13-15.
    """
    height, width, planes = costs.shape
    huge = float32(1e9)
    for scan in prange(2):
        forth = 1 if scan == 0 else -1
        # Of the paths along the row and along three from the row before; planes are padded.
        paths = np.full((2, 4, width + 2, planes + 2), huge)
        least = np.zeros((2, 4, width + 2), np.float32)
        total = np.empty(planes, np.float32)
        for place in range(height):
            row = place if scan == 0 else height - 1 - place
            now, before = place % 2, 1 - place % 2
            for along in range(width):
                column = along if scan == 0 else width - 1 - along
                here = costs[row, column]
                total[:] = float32(0)
                for path in range(4):
                    # Along the row, then from the row before: behind, level, ahead.
                    from_column = column - forth if path == 0 else column + forth * (path - 2)
                    from_row = row if path == 0 else row - forth
                    current = paths[now, path, column + 1]
                    begun = 0 <= from_column < width and 0 <= from_row < height
                    if begun:
                        jump = abs(
                            float32(grey[row, column]) - float32(grey[from_row, from_column])
                        )
                        when = now if path == 0 else before
                        previous = paths[when, path, from_column + 1]
                        lowest = least[when, path, from_column + 1]
                        large = max(large_penalty * edge / (edge + jump), small_penalty)
                        smallest = huge
                        for plane in range(planes):
                            stay = min(
                                previous[plane + 1],
                                min(previous[plane], previous[plane + 2]) + small_penalty,
                            )
                            cost = float32(here[plane]) + (min(stay, lowest + large) - lowest)
                            current[plane + 1] = cost
                            total[plane] += cost
                            smallest = min(smallest, cost)
                        least[now, path, column + 1] = smallest
                    else:
                        smallest = huge
                        for plane in range(planes):
                            cost = float32(here[plane])
                            current[plane + 1] = cost
                            total[plane] += cost
                            smallest = min(smallest, cost)
                        least[now, path, column + 1] = smallest
                for plane in range(planes):
                    sums[scan, row, column, plane] = uint16(int32(total[plane]))


@parallel_kernel
def pick_smooth(
    sums: UInt16[np.ndarray, "2 h w planes"],
    inverse: Float32[np.ndarray, "h w"],
    steps: Float32[np.ndarray, " planes"],
    found: Float32[np.ndarray, "h w"],
) -> None:
    """The inverse depth at which the summed path costs are least."""
    height, width, planes = sums.shape[1:]
    for row in prange(height):
        total = np.empty(planes, np.float32)
        for column in range(width):
            for plane in range(planes):
                total[plane] = float32(sums[0, row, column, plane]) + float32(
                    sums[1, row, column, plane]
                )
            found[row, column] = inverse[row, column] + _least(total, steps)


@parallel_kernel
def pick(
    costs: UInt8[np.ndarray, "h w planes"],
    inverse: Float32[np.ndarray, "h w"],
    steps: Float32[np.ndarray, " planes"],
    found: Float32[np.ndarray, "h w"],
    cost: Float32[np.ndarray, "h w"],
) -> None:
    """The inverse depth at which the costs are least, and the least, 1 for ``WORST``."""
    height, width, planes = costs.shape
    for row in prange(height):
        total = np.empty(planes, np.float32)
        for column in range(width):
            for plane in range(planes):
                total[plane] = float32(costs[row, column, plane])
            found[row, column] = inverse[row, column] + _least(total, steps)
            cost[row, column] = total.min() * float32(1 / WORST)


@inlined
def _least(total: Float32[np.ndarray, " planes"], steps: Float32[np.ndarray, " planes"]) -> float:
    """The step of least cost, of a parabola through it and its neighbours; steps are even."""
    plane = np.argmin(total)
    step = steps[plane]
    if 0 < plane < total.shape[0] - 1:
        before, here, after = total[plane - 1], total[plane], total[plane + 1]
        bend = before - float32(2) * here + after
        if bend > float32(0):
            step += float32(0.5) * (before - after) / bend * (steps[1] - steps[0])
    return step


@parallel_kernel
def enlarge(
    inverse: Float32[np.ndarray, "H W"], apart: np.float32, enlarged: Float32[np.ndarray, "h w"]
) -> None:
    """Bilinear, exact on planes; the nearest where the four around differ by over ``apart``."""
    height, width = enlarged.shape
    rows, columns = inverse.shape
    for row in prange(height):
        y = (row + 0.5) * rows / height - 0.5
        y = min(max(y, 0.0), rows - 1.0)
        top = min(int(y), max(rows - 2, 0))
        below = min(top + 1, rows - 1)
        down = float32(y - top)
        for column in range(width):
            x = (column + 0.5) * columns / width - 0.5
            x = min(max(x, 0.0), columns - 1.0)
            left = min(int(x), max(columns - 2, 0))
            beside = min(left + 1, columns - 1)
            right = float32(x - left)
            a, b = inverse[top, left], inverse[top, beside]
            c, d = inverse[below, left], inverse[below, beside]
            if max(max(a, b), max(c, d)) - min(min(a, b), min(c, d)) > apart:
                enlarged[row, column] = inverse[
                    below if down > float32(0.5) else top, beside if right > float32(0.5) else left
                ]
            else:
                upper = a + right * (b - a)
                enlarged[row, column] = upper + down * (c + right * (d - c) - upper)
