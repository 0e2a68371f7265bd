"""Pinhole cameras: the one description of them that every stage shares."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cameras:
    """Pinhole cameras in the order of their photos, OpenCV axes (x right, y down, z forward).

    Pixel (0, 0) has its centre at (0.5, 0.5).
    """

    names: tuple[str, ...]
    camera_from_world: Float64[np.ndarray, "n 4 4"]
    intrinsics: Float64[np.ndarray, "n 3 3"]
    """Pixels: ``[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]``."""
    sizes: Int64[np.ndarray, "n 2"]
    """Width and height of each photo, pixels."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def world_from_camera(self) -> Float64[np.ndarray, "n 4 4"]:
        rotation = self.camera_from_world[:, :3, :3].transpose(0, 2, 1)
        inverse = np.tile(np.eye(4), (len(self), 1, 1))
        inverse[:, :3, :3] = rotation
        inverse[:, :3, 3] = -np.einsum("nij,nj->ni", rotation, self.camera_from_world[:, :3, 3])
        return inverse

    @property
    def centres(self) -> Float64[np.ndarray, "n 3"]:
        """Projection centres, world units."""
        return self.world_from_camera[:, :3, 3]

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of one photo, pixels."""
        width, height = self.sizes[index].tolist()
        return width, height

    def indices_of(self, names: Iterable[str]) -> list[int]:
        return [self.names.index(name) for name in names]

    def select(self, indices: Sequence[int]) -> "Cameras":
        """The cameras at ``indices``, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Cameras(
            names=tuple(self.names[i] for i in chosen),
            camera_from_world=self.camera_from_world[chosen],
            intrinsics=self.intrinsics[chosen],
            sizes=self.sizes[chosen],
        )

    def in_frame(
        self, index: int, points: Float64[np.ndarray, "p 3"]
    ) -> tuple[Float64[np.ndarray, " p"], Bool[np.ndarray, " p"]]:
        """Depths of points before one camera, and which of them lie in its frame; world units."""
        pose = self.camera_from_world[index]
        in_camera = points @ pose[:3, :3].T + pose[:3, 3]
        depth = in_camera[:, 2]
        pixels = in_camera @ self.intrinsics[index].T
        xy = pixels[:, :2] / np.where(depth > 0, depth, 1)[:, None]
        return depth, (depth > 0) & ((xy >= 0) & (xy <= self.sizes[index])).all(1)

    def resized(self, sizes: Int64[np.ndarray, "n 2"]) -> "Cameras":
        """The same cameras for photos resampled to ``sizes`` (width, height; pixels)."""
        intrinsics = self.intrinsics.copy()
        intrinsics[:, :2] *= (sizes / self.sizes)[:, :, None]
        return Cameras(
            names=self.names,
            camera_from_world=self.camera_from_world,
            intrinsics=intrinsics,
            sizes=sizes,
        )


def joined(cameras: Sequence[Cameras]) -> Cameras:
    """All of them, in their order."""
    return Cameras(
        names=tuple(name for some in cameras for name in some.names),
        camera_from_world=np.concatenate([some.camera_from_world for some in cameras]),
        intrinsics=np.concatenate([some.intrinsics for some in cameras]),
        sizes=np.concatenate([some.sizes for some in cameras]),
    )


def cameras_from_poses(
    names: tuple[str, ...],
    world_from_camera: Float64[np.ndarray, "n 3 3"],
    centres: Float64[np.ndarray, "n 3"],
    intrinsics: Float64[np.ndarray, "n 3 3"],
    sizes: Int64[np.ndarray, "n 2"],
) -> Cameras:
    """Cameras from their orientations in the world and their centres."""
    camera_from_world = np.tile(np.eye(4), (len(names), 1, 1))
    camera_from_world[:, :3, :3] = world_from_camera.transpose(0, 2, 1)
    camera_from_world[:, :3, 3] = -np.einsum("nji,nj->ni", world_from_camera, centres)
    return Cameras(
        names=names, camera_from_world=camera_from_world, intrinsics=intrinsics, sizes=sizes
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraModel:
    """How a camera maps directions to pixels: a camera model of COLMAP with two focals."""

    model: str
    """COLMAP's name: ``PINHOLE``, ``OPENCV``, ``OPENCV_FISHEYE``, ..."""
    params: tuple[float, ...]
    """In COLMAP's order: ``fx, fy, cx, cy`` in pixels, then the distortion, which has no unit."""

    @property
    def intrinsics(self) -> Float64[np.ndarray, "3 3"]:
        """The pinhole part, pixels."""
        fx, fy, cx, cy = self.params[:4]
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    def scaled(self, x: float, y: float) -> "CameraModel":
        """The same model for a photo resampled to ``x`` times its width and ``y`` its height."""
        fx, fy, cx, cy = self.params[:4]
        return CameraModel(
            model=self.model, params=(x * fx, y * fy, x * cx, y * cy, *self.params[4:])
        )


def rotation_angles(
    one: Float[np.ndarray, "*b 3 3"], other: Float[np.ndarray, "*c 3 3"]
) -> Float[np.ndarray, "..."]:
    """Angles of the rotations from one orientation to another, 0 to pi."""
    # By both, since the cosine alone loses small angles and the sine large ones.
    relative = one @ np.swapaxes(other, -1, -2)
    cosine = (np.trace(relative, axis1=-2, axis2=-1) - 1) / 2
    axis = np.stack(
        [
            relative[..., 2, 1] - relative[..., 1, 2],
            relative[..., 0, 2] - relative[..., 2, 0],
            relative[..., 1, 0] - relative[..., 0, 1],
        ],
        axis=-1,
    )
    return np.asarray(np.arctan2(np.linalg.norm(axis, axis=-1) / 2, cosine))
