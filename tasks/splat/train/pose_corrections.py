"""Small corrections of camera poses.

A correction is a rotation vector (radians) and a shift (in extents of the scene) along the axes of
the world. It turns a camera about its own centre and then shifts it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionSizes:
    """Sizes of the corrections of one camera or more."""

    mean_rotation_deg: float
    largest_rotation_deg: float
    mean_shift: float
    """In extents of the scene, as is the largest."""
    largest_shift: float


def corrected_pose(
    camera_from_world: Float64[Tensor, "4 4"],
    correction: Float[Tensor, "6"],
    extent: float,
) -> Float64[Tensor, "4 4"]:
    """Corrected pose of a camera; a correction of 0 gives the same bits back.

    Args:
        camera_from_world: without scale.
        correction: rotation vector, then shift; gets a gradient, on any device.
        extent: of the scene, world units.
    """
    w, shift = correction[:3].double(), extent * correction[3:].double()
    zero = torch.zeros_like(w[0])
    skew = torch.stack([zero, -w[2], w[1], w[2], zero, -w[0], -w[1], w[0], zero]).reshape(3, 3)
    back = torch.linalg.matrix_exp(-skew)  # the exponential of so(3), smooth at 0 too
    centre = -camera_from_world[:3, :3].T @ camera_from_world[:3, 3]
    world_from_moved = torch.cat([back, (centre - back @ (centre + shift))[:, None]], dim=1)
    return camera_from_world @ torch.cat([world_from_moved, camera_from_world[3:]])


def without_common_move(
    corrections: Float32[Tensor, "c 6"], arms: Float32[Tensor, "c 3"]
) -> Float32[Tensor, "c 6"]:
    """Remove the shift, rotation and scale of the world that the corrections share, to first order.

    No photo can distinguish these from a move of the splat, so they would only move it away from
    cameras without corrections. The result has no mean rotation and no mean shift.

    Args:
        corrections: of all cameras.
        arms: from the mean of the cameras' centres to each, extents.
    """
    rotations, shifts = corrections[:, :3], corrections[:, 3:]
    rotation, shift = rotations.mean(0), shifts.mean(0)
    scale = (shifts * arms).sum() / (arms * arms).sum().clamp_min(1e-12)
    rotated = torch.linalg.cross(rotation.expand_as(arms), arms)
    return torch.cat([rotations - rotation, shifts - shift - rotated - scale * arms], dim=1)


def sizes_of(corrections: Float32[np.ndarray, "c 6"]) -> CorrectionSizes:
    rotations_deg = np.degrees(np.linalg.norm(corrections[:, :3], axis=1))
    shifts = np.linalg.norm(corrections[:, 3:], axis=1)
    return CorrectionSizes(
        mean_rotation_deg=float(rotations_deg.mean()),
        largest_rotation_deg=float(rotations_deg.max()),
        mean_shift=float(shifts.mean()),
        largest_shift=float(shifts.max()),
    )
