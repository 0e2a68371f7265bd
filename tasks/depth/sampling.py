"""Bilinear samples of images of several sizes, each padded to one; parts of kernels."""

import numpy as np
from numba import float32

from tasks.runtime.jit import inlined


@inlined
def _corner(position: float, size: int) -> tuple[int, int, float]:
    """The two pixels around a position, clamped to the image, and the share of the second."""
    at = min(max(position - float32(0.5), float32(0)), float32(size - 1))
    first = min(int(at), max(size - 2, 0))
    return first, min(first + 1, size - 1), at - float32(first)


@inlined
def sample(values: np.ndarray, x: float, y: float, width: int, height: int) -> float:
    """Bilinear, of an image [h w]."""
    x0, x1, fx = _corner(x, width)
    y0, y1, fy = _corner(y, height)
    top = values[y0, x0] + fx * (values[y0, x1] - values[y0, x0])
    bottom = values[y1, x0] + fx * (values[y1, x1] - values[y1, x0])
    return top + fy * (bottom - top)


@inlined
def sample_channel(
    image: np.ndarray, channel: int, x: float, y: float, width: int, height: int
) -> float:
    """Bilinear, of one channel of an 8-bit image, in [0, 1]."""
    x0, x1, fx = _corner(x, width)
    y0, y1, fy = _corner(y, height)
    rest = float32(1) - fx
    top = rest * float32(image[y0, x0, channel]) + fx * float32(image[y0, x1, channel])
    bottom = rest * float32(image[y1, x0, channel]) + fx * float32(image[y1, x1, channel])
    return (top + fy * (bottom - top)) * float32(1 / 255)
