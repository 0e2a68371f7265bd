"""What procedural scenes are put together from. World frame: z up, metres."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from tasks.cameras import Cameras
from tasks.procedural.light import Light
from tasks.procedural.materials import Material, Pattern
from tasks.procedural.trace import Shape, Solid

PHOTO_COUNT = 24
WIDTH, HEIGHT = 480, 360


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProceduralScene:
    name: str
    solids: tuple[Solid, ...]
    light: Light
    texel_m: float
    """Edge of a texel of indirect light."""
    bounces: int
    cameras: Cameras
    texture_seed: int = 1

    def excerpt(self, name: str, photos: range, size: tuple[int, int]) -> "ProceduralScene":
        """Some of its photos alone, ``size`` (width, height) pixels large.

        Args:
            photos: their indices.
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
    """The upright box with these corners."""
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
    """A cylinder that stands on ``base`` before it is pitched about its middle."""
    x, y, z = base
    half = (radius_m, radius_m, height_m / 2)
    return solid(Shape.CYLINDER, (x, y, z + height_m / 2), half, material, yaw_deg, pitch_deg)


def surface(
    pattern: Pattern, scale_m: float, first: str, second: str, third: str, gloss: float = 0.0
) -> Material:
    return Material(pattern=pattern, colours=(first, second, third), scale_m=scale_m, gloss=gloss)


def unit(x: float, y: float, z: float) -> Float64[np.ndarray, "3"]:
    vector = np.array([x, y, z])
    return vector / np.linalg.norm(vector)


def look_at(eye: Point, target: Point) -> Float64[np.ndarray, "4 4"]:
    """``camera_from_world`` of a level camera at ``eye`` that looks at ``target`` (z is up)."""
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


def path(eyes: Sequence[Point], targets: Sequence[Point], focal_px: float) -> Cameras:
    count = len(eyes)
    intrinsics = np.array(
        [[focal_px, 0.0, WIDTH / 2], [0.0, focal_px, HEIGHT / 2], [0.0, 0.0, 1.0]]
    )
    return Cameras(
        names=tuple(f"{i:04d}.jpg" for i in range(count)),
        camera_from_world=np.stack([look_at(e, t) for e, t in zip(eyes, targets, strict=True)]),
        intrinsics=np.tile(intrinsics, (count, 1, 1)),
        sizes=np.tile(np.array([WIDTH, HEIGHT], np.int64), (count, 1)),
    )


OAK = surface(Pattern.PLANKS, 0.16, "#9a6a3f", "#6d4526", "#3a2414")
WALNUT = surface(Pattern.PLANKS, 0.22, "#7d5233", "#4f301c", "#23150c", gloss=0.15)
STONE = surface(Pattern.MARBLE, 0.35, "#b9b0a0", "#6f675c", "#8d8069")
WHITE_MARBLE = surface(Pattern.MARBLE, 0.25, "#d9d4cb", "#5f6270", "#b3a999", gloss=0.5)
LEAVES = surface(Pattern.FOLIAGE, 0.16, "#35592a", "#7fa04a", "#c9c86a")
HEDGE = surface(Pattern.FOLIAGE, 0.3, "#2c4a26", "#688b40", "#b8c070")
BARK = surface(Pattern.PLANKS, 0.09, "#6a5140", "#43322a", "#251b16")
TERRACOTTA = surface(Pattern.PLASTER, 0.14, "#b5603c", "#8c4429", "#dd9a70")
IRON = surface(Pattern.PLASTER, 0.08, "#4a4f55", "#2c3035", "#8a7a66", gloss=0.2)


def tree(x: float, y: float, height_m: float, crown_m: float, leaves: Material) -> list[Solid]:
    return [
        pillar((x, y, 0.0), 0.055 * height_m, height_m, BARK),
        ball((x, y, height_m), (crown_m, crown_m, 0.9 * crown_m), leaves),
        ball(
            (x + 0.6 * crown_m, y - 0.3 * crown_m, height_m - 0.25 * crown_m),
            0.65 * crown_m,
            leaves,
        ),
        ball(
            (x - 0.5 * crown_m, y + 0.5 * crown_m, height_m - 0.1 * crown_m), 0.7 * crown_m, leaves
        ),
    ]
