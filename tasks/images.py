"""Photographs as arrays."""

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from PIL import Image

from tasks.errors import DivergedError


def to_uint8(values: Float32[np.ndarray, "*s"]) -> UInt8[np.ndarray, "*s"]:
    """Quantise values in [0, 1]; 255 stands for 1.

    Raises:
        DivergedError: a value is no number, which would be stored as black.
    """
    if bad := int(np.count_nonzero(np.isnan(values))):
        raise DivergedError(
            f"{bad:,} of the {values.size:,} values of an image are NaN, so it shows nothing; "
            "see the options and the photos of the scene"
        )
    return np.round(255 * values).astype(np.uint8)


def from_uint8(stored: UInt8[np.ndarray, "*s"]) -> Float32[np.ndarray, "*s"]:
    """Values in [0, 1]; 1 for 255."""
    return stored / np.float32(255)


def resized(
    pixels: UInt8[np.ndarray, "_ _ 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Resample to ``size`` (width, height), anti-aliased (Lanczos over the area of a pixel)."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def resized_mask(mask: Bool[np.ndarray, "_ _"], size: tuple[int, int]) -> Bool[np.ndarray, "_ _"]:
    """Resample to ``size`` (width, height); true where all that a pixel covers is."""
    if (mask.shape[1], mask.shape[0]) == size:
        return mask
    covered = Image.fromarray(255 * mask.astype(np.uint8)).resize(size, Image.Resampling.BOX)
    return np.array(covered) == 255


def fitted_sizes(sizes: Int64[np.ndarray, "n 2"], longest_edge: int) -> Int64[np.ndarray, "n 2"]:
    """Widths and heights (pixels) with a longest edge of at most ``longest_edge``, never enlarged.

    Aspects are kept to the nearest pixel.
    """
    factors = np.minimum(1.0, longest_edge / sizes.max(axis=1, keepdims=True))
    return np.maximum(1, np.round(sizes * factors)).astype(np.int64)
