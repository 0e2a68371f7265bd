"""Cameras that come with the photos, whatever kind of file they come in."""

import math
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Float64

from tasks.cameras import CameraModel
from tasks.errors import InputError

ROTATION_TOLERANCE = 1e-3
"""Largest entry of ``R R^T - I``: leaves room for rotations written with four digits."""

Size = tuple[int, int]
"""Width and height, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOfView:
    """A pinhole camera with its principal point in the middle of a photo of any size."""

    x_rad: float
    """Angle between the photo's left and right edge, radians."""

    def at(self, size: Size) -> CameraModel:
        focal = 0.5 * size[0] / math.tan(0.5 * self.x_rad)
        return CameraModel(model="PINHOLE", params=(focal, focal, 0.5 * size[0], 0.5 * size[1]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenCamera:
    """One camera as a file gives it."""

    image: str
    """The photo it belongs to, as the file calls it."""
    where: str
    """The place in the file, for messages."""
    camera_from_world: Float64[np.ndarray, "4 4"]
    """OpenCV axes, the file's own world."""
    camera_model: CameraModel | FieldOfView
    size: Size | None
    """Of the photo that ``camera_model`` is for; None where the file does not give it."""
    mask: PurePosixPath | None = None
    """Of the photo, below the scene's folder."""


def camera_model_of_photo(
    camera: GivenCamera, name: str, source_size: Size, size: Size
) -> CameraModel:
    """Camera model of a photo in pixels of its stored size.

    A camera that was written for another size of the same shape is scaled: such folders hold
    reduced copies of the photos that the cameras were found with.

    Args:
        source_size: of the photo before it was reduced.
        size: of the photo now.

    Raises:
        InputError: the camera is for photos of another shape.
    """
    given = camera.size or source_size
    if not same_shape(given, source_size):
        raise InputError(
            f"the reference camera of '{name}' ({camera.where}) is for {given[0]}x{given[1]} "
            f"pixels and the photo has {source_size[0]}x{source_size[1]}, another shape, so its "
            "intrinsics would be wrong; give the cameras of these photos"
        )
    model = camera.camera_model
    if isinstance(model, FieldOfView):
        model = model.at(given)
    return model.scaled(size[0] / given[0], size[1] / given[1])


def same_shape(one: Size, other: Size) -> bool:
    """Whether two sizes have one aspect, up to the rounding of an edge."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def rigid(
    rotation: Float64[np.ndarray, "3 3"], translation: Float64[np.ndarray, "3"], what: str
) -> Float64[np.ndarray, "4 4"]:
    """A transform with its rotation made exactly orthonormal.

    Args:
        what: names the rotation in the message.

    Raises:
        InputError: the rotation is none, or the translation is not finite.
    """
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    determinant = np.linalg.det(rotation)
    if not (error <= ROTATION_TOLERANCE and determinant > 0):
        raise InputError(
            f"{what} is no rotation (R R^T is {error:.3g} away from I, det R = {determinant:.3g}), "
            "so the camera would be distorted or mirrored; correct it"
        )
    if not np.isfinite(translation).all():
        raise InputError(
            f"{what} comes with the translation {translation.tolist()}, which is no place; "
            "correct it"
        )
    u, _, vt = np.linalg.svd(rotation)
    transform = np.eye(4)
    transform[:3, :3] = u @ vt
    transform[:3, 3] = translation
    return transform
