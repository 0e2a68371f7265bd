"""Similarity of a rendered view and its photo."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import correlate1d

WINDOW_SIGMA = 1.5
WINDOW_RADIUS = 5
INNER = slice(WINDOW_RADIUS, -WINDOW_RADIUS)
"""Rows and columns whose windows lie within the image."""
K1, K2 = 0.01, 0.03


def psnr_db(
    rendered: Float[np.ndarray, "h w 3"],
    photo: Float[np.ndarray, "h w 3"],
    use: Bool[np.ndarray, "h w"] | None = None,
) -> float:
    """Peak signal-to-noise ratio of images in [0, 1], decibels; infinite where they are equal.

    Args:
        use: pixels that count, all where absent; none at all gives nan.
    """
    squared = (rendered.astype(np.float64) - photo) ** 2
    error = _mean(squared, use)
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def ssim(
    rendered: Float[np.ndarray, "h w 3"],
    photo: Float[np.ndarray, "h w 3"],
    use: Bool[np.ndarray, "h w"] | None = None,
) -> float:
    """Structural similarity of images in [0, 1], the mean over pixels and channels.

    Window: Gaussian, sigma 1.5, 11 pixels wide. Only windows that lie within the image count, as in
    the authors' code; images smaller than a window have no SSIM (nan).

    Args:
        use: windows about these pixels count, and what they show of other pixels is taken for
            equal; all where absent; none at all gives nan.

    Source: Wang et al., IEEE TIP 13(4), 2004, eq. 13.
    """
    if min(rendered.shape[:2]) < 2 * WINDOW_RADIUS + 1:
        return float("nan")
    x, y = rendered.astype(np.float64), photo.astype(np.float64)
    if use is not None:
        x = np.where(use[..., None], x, y)
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x = _windowed(x * x) - mean_x**2
    variance_y = _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    return _mean(similarity, None if use is None else use[INNER, INNER])


def _mean(values: np.ndarray, use: np.ndarray | None) -> float:
    """Over channels and the pixels to use; nan where there are none."""
    chosen = values if use is None else values[use]
    return float(chosen.mean()) if chosen.size else float("nan")


def _windowed(image: np.ndarray) -> np.ndarray:
    """Weighted mean over the window around each pixel that has a whole one."""
    offsets = np.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1)
    weights = np.exp(-(offsets**2) / (2 * WINDOW_SIGMA**2))
    weights /= weights.sum()
    blurred = correlate1d(correlate1d(image, weights, axis=0), weights, axis=1)
    return np.asarray(blurred[INNER, INNER])
