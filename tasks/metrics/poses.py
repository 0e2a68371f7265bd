"""Right and wrong camera poses, and their errors against reference poses."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from tasks.cameras import Cameras, rotation_angles
from tasks.errors import DegenerateGeometryError
from tasks.metrics.consensus import align_agreeing, fewest_agreeing, residuals
from tasks.metrics.similarity import Similarity

AUC_THRESHOLDS_DEG = (1.0, 3.0, 5.0, 10.0, 20.0)
MAX_NAMED = 10
"""Wrong poses that a remark names."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoseErrors:
    """One entry a camera that has both a pose and a reference, in the order of the reference."""

    names: tuple[str, ...]
    missing: tuple[str, ...]
    """Cameras with a reference and no pose."""
    right: Bool[np.ndarray, " n"]
    """Within ``RIGHT_ROTATION_DEG`` and ``RIGHT_CENTRE_RELATIVE`` (see
    :mod:`tasks.metrics.consensus`) of the reference, under the similarity that the most cameras
    agree on. None is where too few agree to be evidence."""
    rotation_error_deg: Float64[np.ndarray, " n"]
    """NaN without an alignment, as are the next two."""
    centre_error: Float64[np.ndarray, " n"]
    """Units of the reference."""
    centre_error_relative: Float64[np.ndarray, " n"]
    """Share of the extent: twice the largest distance of a reference centre from their mean, those
    of missing cameras included."""
    reference_from_model: Similarity | None
    """None where too few cameras agree on any, or where ``unjudged``."""
    rival: int
    """Most cameras that agree on another alignment; see
    :class:`tasks.metrics.consensus.Consensus`."""
    unjudged: str | None
    """Why a pose can be neither right nor wrong, where the references leave that open."""

    @property
    def wrong(self) -> tuple[str, ...]:
        """Names of the strays."""
        if self.unjudged:
            return ()
        return tuple(name for name, right in zip(self.names, self.right, strict=True) if not right)

    @property
    def remark(self) -> str | None:
        """What the counts alone do not say, in a sentence; None where every pose is right."""
        if self.unjudged:
            return self.unjudged
        wrong, agreeing = self.wrong, int(self.right.sum())
        if not agreeing:
            return (
                f"no pose is called right: no {fewest_agreeing(len(self.names))} of the "
                f"{len(self.names)} agree with the reference under one alignment, and fewer may "
                "by chance"
            )
        parts = []
        if wrong:
            more = f" and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
            parts.append(f"wrong poses: {', '.join(wrong[:MAX_NAMED])}{more}")
        if self.rival == agreeing:
            parts.append(
                f"the alignment is a tie: {agreeing} poses agree on it and {self.rival} on "
                "another, and which of them are called right is arbitrary"
            )
        return "; ".join(parts) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSummary:
    """The poses of a scene; shares and areas are 0 to 1.

    ``right`` + ``wrong`` + ``missing`` = ``references``, unless nothing can be judged: then both of
    the first are 0, and ``remark`` says why. Medians are over the right poses: they tell how
    accurate these are, and nothing about a model of which few are right. None where none is.
    """

    references: int
    right: int
    wrong: int
    missing: int  # with a reference, and no pose
    rotation_median_deg: float | None
    centre_median: float | None  # units of the reference
    centre_median_relative: float | None  # share of the extent
    scale: float | None  # units of the reference per unit of the model
    rival: int
    remark: str | None
    sure: int | None  # of the poses with a reference, those called sure; None where none was asked
    sure_wrong: int | None
    auc_1: float | None  # None with a single reference, as are the next
    auc_3: float | None
    auc_5: float | None
    auc_10: float | None
    auc_20: float | None


def pose_errors(reference: Cameras, model: Cameras) -> PoseErrors:
    """Align the cameras that both sets name by those that agree, then measure all of them."""
    posed = set(model.names)
    missing = tuple(name for name in reference.names if name not in posed)
    extent = _extent(reference)
    reference, model = _in_common(reference, model)
    unjudged, found = _why_unjudged(reference), None
    if not unjudged:
        found = align_agreeing(reference, model, extent=extent)
    left = None if found is None else residuals(reference, model, found.reference_from_model)
    nothing = np.full(len(reference), np.nan)
    return PoseErrors(
        names=reference.names,
        missing=missing,
        right=np.zeros(len(reference), dtype=bool) if found is None else found.right,
        rotation_error_deg=nothing if left is None else left.rotation_deg,
        centre_error=nothing if left is None else left.centre,
        centre_error_relative=nothing if left is None else left.centre / extent,
        reference_from_model=None if found is None else found.reference_from_model,
        rival=0 if found is None else found.rival,
        unjudged=unjudged,
    )


def summarise_poses(
    reference: Cameras,
    model: Cameras,
    *,
    errors: PoseErrors | None = None,
    sure: Mapping[str, bool] | None = None,
) -> PoseSummary:
    """Count right, wrong and missing poses; see :class:`PoseSummary`.

    Args:
        errors: those of :func:`pose_errors` where they are known.
        sure: whether the model calls a pose sure, by name.
    """
    errors = errors or pose_errors(reference, model)
    areas: dict[str, float | None] = {f"auc_{limit:.0f}": None for limit in AUC_THRESHOLDS_DEG}
    if len(reference) > 1:
        areas = dict(zip(areas, relative_pose_auc(reference, model), strict=True))
    right, found = errors.right, errors.reference_from_model
    called = None if sure is None else {name for name in errors.names if sure.get(name, False)}
    return PoseSummary(
        references=len(reference),
        right=int(right.sum()),
        wrong=len(errors.wrong),
        missing=len(errors.missing),
        rotation_median_deg=_median(errors.rotation_error_deg[right]),
        centre_median=_median(errors.centre_error[right]),
        centre_median_relative=_median(errors.centre_error_relative[right]),
        scale=None if found is None else found.scale,
        rival=errors.rival,
        remark=errors.remark,
        sure=None if called is None else len(called),
        sure_wrong=None if called is None else len(called.intersection(errors.wrong)),
        **areas,
    )


def relative_pose_auc(reference: Cameras, model: Cameras) -> tuple[float, ...]:
    """Area under the recall of relative poses up to each of ``AUC_THRESHOLDS_DEG``, 0 to 1.

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
    return tuple(
        float(np.maximum(1 - error_deg / threshold, 0).sum() / n_pairs)
        for threshold in AUC_THRESHOLDS_DEG
    )


def _extent(reference: Cameras) -> float:
    """Twice the largest distance of a centre from their mean."""
    if len(reference) == 0:
        return 0.0
    return 2 * float(np.linalg.norm(reference.centres - reference.centres.mean(0), axis=1).max())


def _why_unjudged(reference: Cameras) -> str | None:
    """What leaves the alignment free, of the references of the cameras that have a pose."""
    if (count := len(reference)) < 2:
        return (
            f"poses are not judged: {count} with a reference, and 2 are needed to fix the scale "
            "between model and reference"
        )
    if _extent(reference) <= 1e-9 * np.abs(reference.centres).max():
        return (
            f"poses are not judged: the {count} with a reference have one and the same centre "
            "there, so the scale between model and reference is free"
        )
    return None


def _median(values: Float64[np.ndarray, " n"]) -> float | None:
    return float(np.median(values)) if len(values) else None


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
