"""Errors of estimated camera poses against reference poses."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from tasks.cameras import Cameras, rotation_angles
from tasks.errors import DegenerateGeometryError
from tasks.metrics.similarity import Similarity, align_cameras

AUC_THRESHOLDS_DEG = (5.0, 10.0, 20.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoseErrors:
    """One number a camera that has both a pose and a reference, in the order of the reference."""

    names: tuple[str, ...]
    rotation_error_deg: Float64[np.ndarray, " n"]
    centre_error: Float64[np.ndarray, " n"]
    """Units of the reference."""
    centre_error_relative: Float64[np.ndarray, " n"]
    """Share of the extent: twice the largest distance of a reference centre from their mean."""
    reference_from_model: Similarity


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSummary:
    """A row of the table of poses; shares and areas are 0 to 1."""

    references: int
    registered: int  # of those with a reference
    rotation_median_deg: float
    rotation_max_deg: float
    centre_rmse: float  # units of the reference
    centre_rmse_relative: float  # share of the extent
    centre_max_relative: float
    scale: float  # units of the reference per unit of the model
    auc_5: float
    auc_10: float
    auc_20: float


def pose_errors(reference: Cameras, model: Cameras) -> PoseErrors:
    """Align the cameras that both sets name, then measure what is left over.

    Raises:
        DegenerateGeometryError: fewer than 2 cameras in common, or their centres coincide.
    """
    reference, model = _in_common(reference, model)
    reference_from_model = align_cameras(reference, model)
    aligned = reference_from_model.apply_to_cameras(model)
    centre_error = np.linalg.norm(aligned.centres - reference.centres, axis=1)
    centred = reference.centres - reference.centres.mean(0)
    extent = 2 * np.linalg.norm(centred, axis=1).max()
    return PoseErrors(
        names=reference.names,
        rotation_error_deg=np.degrees(
            rotation_angles(
                reference.camera_from_world[:, :3, :3], aligned.camera_from_world[:, :3, :3]
            )
        ),
        centre_error=centre_error,
        centre_error_relative=centre_error / extent,
        reference_from_model=reference_from_model,
    )


def summarise_poses(reference: Cameras, model: Cameras) -> PoseSummary:
    """See :func:`pose_errors` and :func:`relative_pose_auc`."""
    errors = pose_errors(reference, model)
    auc_5, auc_10, auc_20 = relative_pose_auc(reference, model)
    return PoseSummary(
        references=len(reference),
        registered=len(errors.names),
        rotation_median_deg=float(np.median(errors.rotation_error_deg)),
        rotation_max_deg=float(errors.rotation_error_deg.max()),
        centre_rmse=float(np.sqrt((errors.centre_error**2).mean())),
        centre_rmse_relative=float(np.sqrt((errors.centre_error_relative**2).mean())),
        centre_max_relative=float(errors.centre_error_relative.max()),
        scale=errors.reference_from_model.scale,
        auc_5=auc_5,
        auc_10=auc_10,
        auc_20=auc_20,
    )


def relative_pose_auc(reference: Cameras, model: Cameras) -> tuple[float, float, float]:
    """Area under the recall of relative poses up to 5, 10 and 20 degrees, each 0 to 1.

    The error of a pair is the larger of the angle between the relative rotations and the angle
    between the directions of the baselines, seen from the first camera; no alignment is needed. A
    pair of which a camera is missing in the model is wrong by any angle. A pair whose reference
    centres coincide is judged by its rotation alone.

    Source: Jin et al., Image Matching across Wide Baselines, IJCV 129, 2021, sec. 3.3; the area is
    exact (no histogram).
    """
    n_pairs = len(reference) * (len(reference) - 1) // 2
    if n_pairs == 0:
        raise DegenerateGeometryError(
            f"the reference has {len(reference)} cameras, and relative poses need 2; give more"
        )
    reference, model = _in_common(reference, model)
    first, second = np.triu_indices(len(reference), k=1)
    turn_reference, baseline_reference = _relative(reference, first, second)
    turn_model, baseline_model = _relative(model, first, second)
    rotation_deg = np.degrees(rotation_angles(turn_reference, turn_model))
    direction_deg = _direction_angle_deg(baseline_reference, baseline_model)
    length = np.linalg.norm(baseline_reference, axis=1)
    direction_deg[length <= 1e-9 * length.max(initial=0.0)] = 0.0
    error_deg = np.maximum(rotation_deg, direction_deg)
    auc_5, auc_10, auc_20 = (
        float(np.maximum(1 - error_deg / threshold, 0).sum() / n_pairs)
        for threshold in AUC_THRESHOLDS_DEG
    )
    return auc_5, auc_10, auc_20


def _in_common(reference: Cameras, model: Cameras) -> tuple[Cameras, Cameras]:
    """The cameras that both sets name, in the order of the reference."""
    place = {name: index for index, name in enumerate(model.names)}
    chosen = [index for index, name in enumerate(reference.names) if name in place]
    return reference.select(chosen), model.select([place[reference.names[i]] for i in chosen])


def _relative(
    cameras: Cameras, first: np.ndarray, second: np.ndarray
) -> tuple[Float64[np.ndarray, "p 3 3"], Float64[np.ndarray, "p 3"]]:
    """Rotation ``second_from_first`` and the baseline in the axes of the first camera."""
    rotations = cameras.camera_from_world[:, :3, :3]
    baseline = cameras.centres[second] - cameras.centres[first]
    return (
        rotations[second] @ np.swapaxes(rotations[first], 1, 2),
        np.einsum("pij,pj->pi", rotations[first], baseline),
    )


def _direction_angle_deg(
    a: Float64[np.ndarray, "n 3"], b: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, " n"]:
    """Angle between vectors, 0 to 180; 0 where one has no length."""
    across = np.linalg.norm(np.cross(a, b), axis=1)
    return np.degrees(np.arctan2(across, (a * b).sum(1)))
