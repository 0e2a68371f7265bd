"""The CPU kernels that compare the depth maps of photos."""

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from numba import float32, int32, prange, uint8

from tasks.runtime.jit import inlined, parallel_kernel, serial_kernel

APART = 0.03
"""Share by which depths side by side may differ and be of one surface."""


@inlined
def _project(
    a: Float32[np.ndarray, "3 3"], b: Float32[np.ndarray, "3"], x: float, y: float, z: float
) -> tuple[float, float, float]:
    """Pixel and depth in the other photo of a view's pixel at depth z; depth 0 if behind it."""
    far = z * (a[2, 0] * x + a[2, 1] * y + a[2, 2]) + b[2]
    if far <= float32(1e-6) * z:
        return float32(-1), float32(-1), float32(0)
    u = (z * (a[0, 0] * x + a[0, 1] * y + a[0, 2]) + b[0]) / far
    v = (z * (a[1, 0] * x + a[1, 1] * y + a[1, 2]) + b[1]) / far
    return u, v, far


@inlined
def _surface(
    depths: Float32[np.ndarray, "h w"], u: float, v: float, width: int, height: int
) -> float:
    """Depth of a map at a position: bilinear in inverse depth on one surface, else the nearest."""
    nearest = depths[int(v), int(u)]
    if nearest <= float32(0):
        return float32(0)
    x = min(max(u - float32(0.5), float32(0)), float32(width - 1))
    y = min(max(v - float32(0.5), float32(0)), float32(height - 1))
    left, top = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    right, below = min(left + 1, width - 1), min(top + 1, height - 1)
    a, b = depths[top, left], depths[top, right]
    c, d = depths[below, left], depths[below, right]
    least, most = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    if least <= float32(0) or most - least > float32(APART) * nearest:
        return nearest
    one = float32(1)
    fx, fy = x - float32(left), y - float32(top)
    upper = (one - fx) / a + fx / b
    lower = (one - fx) / c + fx / d
    return one / (upper + fy * (lower - upper))


@parallel_kernel
def confirm(
    depth: Float32[np.ndarray, "h w"],
    others: Int32[np.ndarray, " k"],
    maps: Float32[np.ndarray, "k 3 3"],
    offsets: Float32[np.ndarray, "k 3"],
    back_maps: Float32[np.ndarray, "k 3 3"],
    back_offsets: Float32[np.ndarray, "k 3"],
    depths: Float32[np.ndarray, "n H W"],
    sizes: Int32[np.ndarray, "n 2"],
    tolerance: np.float32,
    tolerance_px: np.float32,
    agreeing: UInt8[np.ndarray, "h w"],
    fused: Float32[np.ndarray, "h w"],
) -> None:
    """Count the other maps that agree with a photo's, and average those depths with its own.

    A pixel goes by its depth into the other map, and by the depth there back: it must come back
    within ``tolerance_px`` at a depth that differs by at most the share ``tolerance``.
    """
    height, width = depth.shape
    for row in prange(height):
        for column in range(width):
            z = depth[row, column]
            agreeing[row, column] = uint8(0)
            fused[row, column] = z
            if z <= float32(0):
                continue
            x, y = float32(column) + float32(0.5), float32(row) + float32(0.5)
            count, total = 1, z
            for k in range(others.shape[0]):
                j = others[k]
                u, v, far = _project(maps[k], offsets[k], x, y, z)
                if far <= float32(0) or u < float32(0) or v < float32(0):
                    continue
                if u >= float32(sizes[j, 0]) or v >= float32(sizes[j, 1]):
                    continue
                there = _surface(depths[j], u, v, sizes[j, 0], sizes[j, 1])
                if there <= float32(0):
                    continue
                back_x, back_y, back = _project(back_maps[k], back_offsets[k], u, v, there)
                if abs(back - z) > tolerance * z:
                    continue
                off_x, off_y = back_x - x, back_y - y
                if off_x * off_x + off_y * off_y > tolerance_px * tolerance_px:
                    continue
                count += 1
                total += back
            agreeing[row, column] = uint8(count - 1)
            fused[row, column] = total / float32(count)


@serial_kernel
def thin(
    photo: int,
    step: int,
    others: Int32[np.ndarray, " k"],
    maps: Float32[np.ndarray, "k 3 3"],
    offsets: Float32[np.ndarray, "k 3"],
    depths: Float32[np.ndarray, "n H W"],
    sizes: Int32[np.ndarray, "n 2"],
    tolerance: np.float32,
    explained: Bool[np.ndarray, "n rows columns"],
    kept: Int32[np.ndarray, "m 2"],
) -> int:
    """Choose the cells of a photo that no point explains yet, and mark what they explain.

    A cell is ``step`` by ``step`` pixels, with the depth of its middle pixel. A point explains the
    cells around it in the other photos whose depth there is its own within ``tolerance``.

    Returns:
        How many of the rows of ``kept`` are filled: column and row of the middle pixels.
    """
    width, height = sizes[photo, 0], sizes[photo, 1]
    count = 0
    for top in range(0, height, step):
        row = min(top + step // 2, height - 1)
        for left in range(0, width, step):
            column = min(left + step // 2, width - 1)
            z = depths[photo, row, column]
            if z <= float32(0) or explained[photo, top // step, left // step]:
                continue
            kept[count, 0] = int32(column)
            kept[count, 1] = int32(row)
            count += 1
            for k in range(others.shape[0]):
                j = others[k]
                u, v, far = _project(
                    maps[k],
                    offsets[k],
                    float32(column) + float32(0.5),
                    float32(row) + float32(0.5),
                    z,
                )
                if far <= float32(0):
                    continue
                # The four cells whose middles are nearest.
                first_row = int(np.floor(v / float32(step) - float32(0.5)))
                first_column = int(np.floor(u / float32(step) - float32(0.5)))
                for cell_row in range(first_row, first_row + 2):
                    for cell_column in range(first_column, first_column + 2):
                        if cell_row < 0 or cell_column < 0:
                            continue
                        at_row = cell_row * step + step // 2
                        at_column = cell_column * step + step // 2
                        if at_row >= sizes[j, 1] or at_column >= sizes[j, 0]:
                            continue
                        if abs(depths[j, at_row, at_column] - far) <= tolerance * far:
                            explained[j, cell_row, cell_column] = True
    return count
