"""Confidence of rendered pixels, from their predicted error."""

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import uniform_filter

WINDOW = 5
"""Width of the square over which differences of images are averaged, pixels."""
WEIGHTS = {"nearest": 0.2, "second": 0.15, "training": 0.1, "residual": 0.25, "swept": 0.3}
"""Exponents of the geometric mean."""
FLOOR = 0.01
"""Added to each of its terms: smaller differences are noise."""
ERROR_SCALE = 0.05
"""Predicted colour error at which confidence is 1 / e."""
ENOUGH_ALPHA = 0.5
"""Alpha below which confidence decreases linearly to 0."""


def predicted_error(
    *,
    nearest: Float32[np.ndarray, "h w"],
    second: Float32[np.ndarray, "h w"],
    training: Float32[np.ndarray, "h w"],
    residual: Float32[np.ndarray, "h w"],
    swept: Float32[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w"]:
    """Mean absolute colour error to expect of a render, for images in [0, 1].

    The weighted geometric mean of five hints, each plus 0.01. The exponents were chosen on three
    real scenes and checked on three others, with 4 to 9 training photos each. It serves to order
    pixels: its absolute value is right to a fifth for splats of 800 iterations, and up to half the
    true error of those that overfit (2000 iterations to 4 to 6 photos).

    Args:
        nearest: mean absolute colour difference of the render and the nearest photo, warped into
            the view by the rendered depth; taken over 5x5 pixels here.
        second: the same of the second nearest photo.
        training: error of the splat in the nearest photo, warped like it; taken over 5x5 pixels.
        residual: mean training error of the Gaussians that the pixel shows.
        swept: mean absolute colour difference of the render and the photos, warped into the view by
            the depth at which they agree and averaged; taken over 5x5 pixels here.
    """
    hints = {
        "nearest": uniform_filter(nearest, WINDOW, mode="nearest"),
        "second": uniform_filter(second, WINDOW, mode="nearest"),
        "training": uniform_filter(training, WINDOW, mode="nearest"),
        "residual": residual,
        "swept": uniform_filter(swept, WINDOW, mode="nearest"),
    }
    exponent = sum(
        np.float32(weight) * np.log(np.maximum(hints[name], 0) + np.float32(FLOOR))
        for name, weight in WEIGHTS.items()
    )
    return np.asarray(np.exp(exponent))


def confidence(
    alpha: Float32[np.ndarray, "h w"], error: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """``min(1, 2 alpha) exp(-e / 0.05)`` for the predicted error e; in [0, 1].

    Args:
        alpha: accumulated opacity of the splat.
        error: predicted, see :func:`predicted_error`.
    """
    shown = np.minimum(alpha / np.float32(ENOUGH_ALPHA), 1)
    return np.asarray(shown * np.exp(-error / np.float32(ERROR_SCALE)))
