"""Building blocks of procedural scenes. World frame: z up, metres."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from tasks.cameras import Cameras
from tasks.procedural.light import Light
from tasks.procedural.materials import Material
from tasks.procedural.palette import BARK
from tasks.procedural.trace import Shape, Solid

PHOTO_COUNT = 24
WIDTH, HEIGHT = 480, 360


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProceduralScene:
    name: str
    solids: tuple[Solid, ...]
    light: Light
    texel_m: float
    """Edge length of a texel of the indirect light."""
    bounces: int
    cameras: Cameras
    texture_seed: int = 1

    def excerpt(self, name: str, photos: range, size: tuple[int, int]) -> "ProceduralScene":
        """The same scene with a subset of its cameras.

        Args:
            photos: indices of the cameras to keep.
            size: width and height of their photos, pixels.
        """
        cameras = self.cameras.select(photos)
        sizes = np.tile(np.array(size, dtype=np.int64), (len(cameras), 1))
        return replace(self, name=name, cameras=cameras.resized(sizes))


Point = tuple[float, float, float]


def turned(yaw_deg: float, pitch_deg: float = 0.0) -> Float64[np.ndarray, "3 3"]:
    """Rotation about z by ``yaw_deg`` after rotation about x by ``pitch_deg``."""
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    about_z = np.array(
        [[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]]
    )
    return about_z @ about_x


def solid(
    shape: Shape, centre: Point, half: Point, material: Material, yaw_deg: float, pitch_deg: float
) -> Solid:
    return Solid(
        shape=shape,
        centre=np.array(centre, dtype=np.float64),
        half_size=np.array(half, dtype=np.float64),
        world_from_solid=turned(yaw_deg, pitch_deg),
        material=material,
    )


def box(
    centre: Point, size: Point, material: Material, yaw_deg: float = 0.0, pitch_deg: float = 0.0
) -> Solid:
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    return solid(Shape.BOX, centre, half, material, yaw_deg, pitch_deg)


def between(lower: Point, upper: Point, material: Material) -> Solid:
    """Axis-aligned box with these corners."""
    low, high = np.array(lower), np.array(upper)
    x, y, z = (low + high) / 2
    dx, dy, dz = high - low
    return box((x, y, z), (dx, dy, dz), material)


def ball(centre: Point, radius_m: float | Point, material: Material, yaw_deg: float = 0.0) -> Solid:
    half = radius_m if isinstance(radius_m, tuple) else (radius_m, radius_m, radius_m)
    return solid(Shape.BALL, centre, half, material, yaw_deg, 0.0)


def pillar(
    base: Point,
    radius_m: float,
    height_m: float,
    material: Material,
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
) -> Solid:
    """Cylinder upright on ``base``, then pitched about its centre."""
    x, y, z = base
    half = (radius_m, radius_m, height_m / 2)
    return solid(Shape.CYLINDER, (x, y, z + height_m / 2), half, material, yaw_deg, pitch_deg)


def unit(x: float, y: float, z: float) -> Float64[np.ndarray, "3"]:
    vector = np.array([x, y, z])
    return vector / np.linalg.norm(vector)


def look_at(eye: Point, target: Point) -> Float64[np.ndarray, "4 4"]:
    """``camera_from_world`` of a camera without roll at ``eye``, aimed at ``target`` (z is up)."""
    centre = np.array(eye)
    forward = np.array(target) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ centre
    return matrix


def cameras_of(
    poses: Sequence[Float64[np.ndarray, "4 4"]], focal_px: float, width: int, height: int
) -> Cameras:
    """Cameras with one focal length and size, and the principal point in the image centre.

    Args:
        poses: ``camera_from_world`` of each.
    """
    count = len(poses)
    intrinsics = np.array([[focal_px, 0.0, width / 2], [0.0, focal_px, height / 2], [0, 0, 1]])
    return Cameras(
        names=tuple(f"{i:04d}.jpg" for i in range(count)),
        camera_from_world=np.stack(poses),
        intrinsics=np.tile(intrinsics, (count, 1, 1)),
        sizes=np.tile(np.array([width, height], np.int64), (count, 1)),
    )


def tree(x: float, y: float, height_m: float, crown_m: float, leaves: Material) -> list[Solid]:
    low, mid = height_m - 0.25 * crown_m, height_m - 0.1 * crown_m
    return [
        pillar((x, y, 0.0), 0.055 * height_m, height_m, BARK),
        ball((x, y, height_m), (crown_m, crown_m, 0.9 * crown_m), leaves),
        ball((x + 0.6 * crown_m, y - 0.3 * crown_m, low), 0.65 * crown_m, leaves),
        ball((x - 0.5 * crown_m, y + 0.5 * crown_m, mid), 0.7 * crown_m, leaves),
    ]
