"""Which cameras of a model are right; a part of ``benchmarks/sfm.py``."""

from dataclasses import dataclass

import numpy as np

from tasks.cameras import Cameras
from tasks.metrics.poses import AUC_THRESHOLDS_DEG, pose_errors, relative_pose_auc

AUC_DEG = AUC_THRESHOLDS_DEG[:3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Cameras of a model against their references."""

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    unknown: tuple[str, ...]
    """Without a reference."""
    rotation_deg: float | None
    """Median of the right ones."""
    centre_share: float | None
    """The same, share of the extent."""
    auc: tuple[float, ...]
    """Area under the recall of relative poses up to each of ``AUC_DEG``, 0 to 1."""


def judged(reference: Cameras, model: Cameras) -> Judged:
    """See :func:`tasks.metrics.poses.pose_errors`."""
    errors = pose_errors(reference, model)
    right = errors.right
    return Judged(
        right=tuple(name for name, good in zip(errors.names, right, strict=True) if good),
        wrong=tuple(name for name, good in zip(errors.names, right, strict=True) if not good),
        unknown=tuple(name for name in model.names if name not in errors.names),
        rotation_deg=_median(errors.rotation_error_deg[right]),
        centre_share=_median(errors.centre_error_relative[right]),
        auc=relative_pose_auc(reference, model)[: len(AUC_DEG)],
    )


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None
