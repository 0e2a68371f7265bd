"""Sharpness of a rendered view, as a share of its photo's."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_erosion, sobel


def edge_energy(
    rendered: Float[np.ndarray, "h w 3"],
    photo: Float[np.ndarray, "h w 3"],
    use: Bool[np.ndarray, "h w"] | None = None,
) -> float | None:
    """Squared gradients of a picture over those of its photo:

        E(render) / E(photo),  E(x) = sum over pixels and channels of (S_u x)^2 + (S_v x)^2,

    S_u and S_v being Sobel's 3x3 filters. A mean of misaligned pictures has less than 1, noise has
    more; it compares nothing in place, so it says only together with the others how good a picture
    is. Of a sinusoid it is the squared ratio of the contrasts.

    Args:
        use: pixels that count, all where absent: filters that see others are left out, as are those
            that reach beyond the image. None where none remains, or the photo has no gradient.

    Source: the Tenengrad of Krotkov, Focusing, IJCV 1, 1987, without its threshold.
    """
    whole = np.ones(photo.shape[:2], dtype=bool) if use is None else use
    inner = binary_erosion(whole, np.ones((3, 3)))  # beyond the image nothing counts
    of_photo = _energy(photo, inner)
    return _energy(rendered, inner) / of_photo if of_photo > 0 else None


def _energy(image: Float[np.ndarray, "h w 3"], use: Bool[np.ndarray, "h w"]) -> float:
    pixels = image.astype(np.float64)
    squared = sobel(pixels, axis=0) ** 2 + sobel(pixels, axis=1) ** 2
    return float(squared[use].sum())
