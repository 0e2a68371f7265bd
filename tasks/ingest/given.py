"""Cameras that come with the photos, whatever kind of file they come in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from tasks.cameras import CameraModel
from tasks.errors import InputError

ROTATION_TOLERANCE = 1e-3
"""Largest entry of ``R R^T - I``: leaves room for rotations written with four digits."""

Size = tuple[int, int]
"""Width and height, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraOfAnySize:
    """A camera of which something is known only with the size of its photo.

    A focal length comes from itself, else from the angle along its axis, else it is that of the
    other axis. A principal point that is not given lies in the middle.
    """

    focal_px: tuple[float | None, float | None] = (None, None)
    """Along x and y, pixels."""
    angle_rad: tuple[float | None, float | None] = (None, None)
    """Between opposite edges of the photo, along x and y, radians."""
    principal_px: tuple[float | None, float | None] = (None, None)
    model: str = "PINHOLE"
    """COLMAP's name of a model with two focals."""
    distortion: tuple[float, ...] = ()
    """Its coefficients, in COLMAP's order."""

    def at(self, size: Size) -> CameraModel:
        """The camera for photos of a size; one of the four focals and angles is given."""
        focals = [
            0.5 * edge / math.tan(0.5 * angle) if focal is None and angle is not None else focal
            for focal, angle, edge in zip(self.focal_px, self.angle_rad, size, strict=True)
        ]
        known = [focal for focal in focals if focal is not None]
        fx, fy = (known[0] if focal is None else focal for focal in focals)
        cx, cy = (
            0.5 * edge if middle is None else middle
            for middle, edge in zip(self.principal_px, size, strict=True)
        )
        return CameraModel(model=self.model, params=(fx, fy, cx, cy, *self.distortion))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenCamera:
    """One camera as a file gives it."""

    image: str
    """The photo it belongs to, as the file calls it."""
    where: str
    """The place in the file, for messages."""
    camera_from_world: Float64[np.ndarray, "4 4"]
    """OpenCV axes, the file's own world."""
    camera_model: CameraModel | CameraOfAnySize
    size: Size | None
    """Of the photo that ``camera_model`` is for; None where the file does not give it."""
    mask: str | None = None
    """Of the photo, as the file calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableCamera:
    """A camera that a file gives and that is none: its photo is left out."""

    image: str
    """The photo it belongs to, as the file calls it."""
    reason: str
    """Of its rejection, as :class:`tasks.ingest.folder.Rejected` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenCameras:
    """What one source of cameras gives."""

    cameras: tuple[GivenCamera, ...] = ()
    unusable: tuple[UnusableCamera, ...] = ()

    @classmethod
    def of(cls, found: Sequence[GivenCamera | UnusableCamera]) -> "GivenCameras":
        """Those that can be used apart from those that cannot."""
        return cls(
            cameras=tuple(one for one in found if isinstance(one, GivenCamera)),
            unusable=tuple(one for one in found if isinstance(one, UnusableCamera)),
        )


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
    if isinstance(model, CameraOfAnySize):
        model = model.at(given)
    return model.scaled(size[0] / given[0], size[1] / given[1])


def not_finite(where: str) -> str:
    """Why a photo is left out whose pose or lens has parts that are no numbers."""
    return (
        f"has a camera that is not finite: {where} has NaN or infinity in it; export that camera "
        "again or remove the photo"
    )


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
