"""Errors of rendered depth against depth maps."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

TOLERANCE = 0.05
"""Relative; depth sensors and device poses vouch for no less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthScore:
    pixels: int  # compared
    coverage: float  # share of the reference's known pixels that were rendered, 0..1
    median_relative_error: float  # of |rendered - reference| / reference; nan without pixels
    within_5_percent: float  # share of the pixels compared, 0..1; nan without pixels


def score_depth(
    rendered: Float[np.ndarray, "h w"],
    reference: Float[np.ndarray, "h w"],
    *,
    reference_from_model_scale: float,
) -> DepthScore:
    """Compare depth pixel by pixel where both are known.

    Args:
        rendered: depth along the optical axis in model units; 0 or not finite = nothing there.
        reference: the same in reference units (metres); 0 or not finite = unknown.
        reference_from_model_scale: reference units per model unit, as
            :func:`tasks.metrics.similarity.align_cameras` finds it from the poses alone. The depth
            itself is not fitted: an error of scale is an error.
    """
    known = np.isfinite(reference) & (reference > 0)
    compared = known & np.isfinite(rendered) & (rendered > 0)
    truth = reference[compared].astype(np.float64)
    error = np.abs(reference_from_model_scale * rendered[compared] - truth) / truth
    return DepthScore(
        pixels=len(truth),
        coverage=len(truth) / known.sum() if known.any() else 0.0,
        median_relative_error=float(np.median(error)) if len(error) else float("nan"),
        within_5_percent=float((error <= TOLERANCE).mean()) if len(error) else float("nan"),
    )
