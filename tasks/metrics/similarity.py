"""The similarity between the worlds of two sets of the same cameras."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from tasks.cameras import Cameras, cameras_from_poses
from tasks.errors import DegenerateGeometryError

ROTATION_NOISE = np.radians(0.5)
"""Error that the principal point alone causes: 5 px at a focal length of 600 px."""
CENTRE_NOISE = 1e-3
"""Share of the centres' root mean square distance from their mean."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Similarity:
    """Takes points of frame b to frame a: ``x_a = scale * rotation @ x_b + translation``."""

    scale: float
    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]

    def apply(self, x_b: Float[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        return self.scale * x_b @ self.rotation.T + self.translation

    def apply_to_cameras(self, cameras: Cameras) -> Cameras:
        """The same cameras in world a; lengths in front of them grow by ``scale``."""
        return cameras_from_poses(
            cameras.names,
            self.rotation @ cameras.world_from_camera[:, :3, :3],
            self.apply(cameras.centres),
            cameras.intrinsics,
            cameras.sizes,
        )


def align_cameras(reference: Cameras, model: Cameras, *, iterations: int = 10) -> Similarity:
    """The similarity from the model's world to the reference's, from rotations and centres.

    Centres alone leave the rotation about a straight path free. Rotations alone carry an error
    that the cameras share (a principal point off by some pixels turns them all), so the mean over
    the cameras counts, not the sum: many cameras determine it no better than one. The rotation
    minimises::

        mean_i |R_ref_i - R R_model_i|^2 / (4 s_r^2)  +  sum_i |c_ref_i - R c_model_i|^2 / (2 s_c^2)

    with world-from-camera rotations, and centres taken from their mean at unit mean square
    distance. For given s_r and s_c that is one orthogonal Procrustes problem; both are the root
    mean square of what it leaves, angles in s_r, never below ``ROTATION_NOISE`` and
    ``CENTRE_NOISE``, and are found in turn. The scale is the ratio of the two sets' spreads: noise
    does not shrink it, and it does not depend on the rotation.

    Args:
        reference, model: the same cameras in the same order, 2 or more.

    Returns:
        ``reference_from_model``. Its rotation is proper: a mirrored model is never mirrored back.

    Raises:
        DegenerateGeometryError: fewer than 2 cameras, or all centres of a set coincide.

    Source: Schoenemann, Psychometrika 31(1), 1966 (Procrustes); the signs as in Umeyama, TPAMI
    13(4), 1991, eq. 43; the scale as in Horn, JOSA A 4(4), 1987, sec. 2.D.
    """
    count = len(reference)
    assert count == len(model), (count, len(model))
    if count < 2:
        raise DegenerateGeometryError(
            f"{count} camera is common to the model and the reference, and 2 are needed to fix "
            "the scale; register more of the photos that have a reference"
        )
    reference_mean, reference_radius = _mean_and_radius(reference.centres, "reference")
    model_mean, model_radius = _mean_and_radius(model.centres, "model")
    reference_unit = (reference.centres - reference_mean) / reference_radius
    model_unit = (model.centres - model_mean) / model_radius
    reference_rotations = reference.world_from_camera[:, :3, :3]
    model_rotations = model.world_from_camera[:, :3, :3]
    from_rotations = np.einsum("nij,nkj->ik", reference_rotations, model_rotations) / count
    from_centres = reference_unit.T @ model_unit
    turn_noise, centre_noise = ROTATION_NOISE, CENTRE_NOISE
    for _ in range(iterations):
        rotation = _nearest_rotation(
            from_rotations / (2 * turn_noise**2) + from_centres / centre_noise**2
        )
        # |A - B|_F^2 of two rotations is 2 theta^2 for a small angle theta between them
        turn_residual = reference_rotations - rotation @ model_rotations
        turn_noise = max(np.sqrt((turn_residual**2).sum((1, 2)).mean() / 2), ROTATION_NOISE)
        centre_residual = reference_unit - model_unit @ rotation.T
        centre_noise = max(np.sqrt((centre_residual**2).sum(1).mean()), CENTRE_NOISE)
    scale = float(reference_radius / model_radius)
    return Similarity(
        scale=scale,
        rotation=rotation,
        translation=reference_mean - scale * rotation @ model_mean,
    )


def _mean_and_radius(
    centres: Float64[np.ndarray, "n 3"], owner: str
) -> tuple[Float64[np.ndarray, "3"], float]:
    """Mean, and root mean square distance from it."""
    mean = centres.mean(0)
    radius = float(np.sqrt(((centres - mean) ** 2).sum(1).mean()))
    if radius <= 1e-9 * np.abs(centres).max(initial=0.0):
        raise DegenerateGeometryError(
            f"the {len(centres)} camera centres of the {owner} lie within {radius:.3g} of each "
            "other, so the scale between model and reference is free; add photos taken from "
            "elsewhere"
        )
    return mean, radius


def _nearest_rotation(matrix: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """The proper rotation R of largest ``trace(R.T @ matrix)``."""
    u, _, vt = np.linalg.svd(matrix)
    return (u * [1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
