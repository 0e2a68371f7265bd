"""Deformable convolution by its definition: loops over pixels and taps, in double precision."""

import numpy as np


def deformable_reference(image: np.ndarray, offsets: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Output [d h w] of an image [c h w]; offsets [2 k^2 h w]: of each tap down, then right, px;
    weight [d c k k]. What lies outside the image is zero, pixel by pixel."""
    channels, height, width = image.shape
    side = weight.shape[-1]
    image, weight = image.astype(np.float64), weight.astype(np.float64)

    def pixel(y: int, x: int) -> np.ndarray:
        inside = 0 <= y < height and 0 <= x < width
        return image[:, y, x] if inside else np.zeros(channels)

    found = np.zeros((len(weight), height, width))
    for row in range(height):
        for column in range(width):
            for tap in range(side * side):
                y = row + tap // side - side // 2 + float(offsets[2 * tap, row, column])
                x = column + tap % side - side // 2 + float(offsets[2 * tap + 1, row, column])
                top, left = int(np.floor(y)), int(np.floor(x))
                down, right = y - top, x - left
                seen = (
                    (1 - down) * (1 - right) * pixel(top, left)
                    + (1 - down) * right * pixel(top, left + 1)
                    + down * (1 - right) * pixel(top + 1, left)
                    + down * right * pixel(top + 1, left + 1)
                )
                found[:, row, column] += weight[:, :, tap // side, tap % side] @ seen
    return found
