"""The CPU kernels around the residual network: pixels folded into channels, and unfolded again."""

import numpy as np
from jaxtyping import Float32
from numba import float32, prange

from tasks.runtime.jit import parallel_kernel


@parallel_kernel
def fold(
    pictures: Float32[np.ndarray, "b n h w 3"],
    valid: Float32[np.ndarray, "b m h w"],
    maps: Float32[np.ndarray, "b q h w"],
    difference_scale: float,
    edge: int,
    planes: Float32[np.ndarray, "b H W C"],
) -> None:
    """Fold squares of ``edge`` px of the network's inputs into the channels of one position.

    Beyond the image its border is repeated.
    """
    views, count, height, width, _ = pictures.shape
    photos, others = valid.shape[1], maps.shape[1]
    rows, columns = planes.shape[1], planes.shape[2]
    scale, one, two = float32(difference_scale), float32(1), float32(2)
    lanes = edge * edge
    for place in prange(views * rows):
        view, row = place // rows, place % rows
        for down in range(edge):
            y = min(edge * row + down, height - 1)
            for column in range(columns):
                target = planes[view, row, column]
                for right in range(edge):
                    x = min(edge * column + right, width - 1)
                    lane = edge * down + right
                    red = pictures[view, 0, y, x, 0]
                    green = pictures[view, 0, y, x, 1]
                    blue = pictures[view, 0, y, x, 2]
                    target[lane] = two * red - one
                    target[lane + lanes] = two * green - one
                    target[lane + 2 * lanes] = two * blue - one
                    at = lane + 3 * lanes
                    for picture in range(1, count):
                        target[at] = scale * (pictures[view, picture, y, x, 0] - red)
                        target[at + lanes] = scale * (pictures[view, picture, y, x, 1] - green)
                        target[at + 2 * lanes] = scale * (pictures[view, picture, y, x, 2] - blue)
                        at += 3 * lanes
                    for photo in range(photos):
                        target[at] = two * valid[view, photo, y, x] - one
                        at += lanes
                    for other in range(others):
                        target[at] = maps[view, other, y, x]
                        at += lanes


@parallel_kernel
def unfold(
    found: Float32[np.ndarray, "b H W C"],
    pictures: Float32[np.ndarray, "b n h w 3"],
    typical_log_error: float,
    edge: int,
    image: Float32[np.ndarray, "b h w 3"],
    log_error: Float32[np.ndarray, "b h w"],
    render_log_error: Float32[np.ndarray, "b h w"],
) -> None:
    """Unfold the network's outputs: weights of the pictures, residual, logarithms of errors."""
    views, count, height, width, _ = pictures.shape
    typical = float32(typical_log_error)
    lanes = edge * edge
    for place in prange(views * height):
        view, y = place // height, place % height
        row, down = y // edge, y % edge
        for x in range(width):
            output = found[view, row, x // edge]
            lane = edge * down + x % edge
            start_red = pictures[view, 1, y, x, 0]
            start_green = pictures[view, 1, y, x, 1]
            start_blue = pictures[view, 1, y, x, 2]
            at = lane + (count - 1) * lanes
            red = output[at]
            green = output[at + lanes]
            blue = output[at + 2 * lanes]
            log_error[view, y, x] = typical + output[at + 3 * lanes]
            render_log_error[view, y, x] = typical + output[at + 4 * lanes]
            at = lane
            for picture in range(count):
                if picture != 1:
                    share = output[at]
                    red += share * (pictures[view, picture, y, x, 0] - start_red)
                    green += share * (pictures[view, picture, y, x, 1] - start_green)
                    blue += share * (pictures[view, picture, y, x, 2] - start_blue)
                    at += lanes
            image[view, y, x, 0] = start_red + red
            image[view, y, x, 1] = start_green + green
            image[view, y, x, 2] = start_blue + blue
