"""Camera paths for videos: along the photos, around an object, or in a spiral before a scene."""

from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from tasks.cameras import Cameras, cameras_from_poses
from tasks.errors import DegenerateGeometryError
from tasks.views.novel_views import intrinsics_at_size

Capture = Literal["around", "forward", "through"]
"""Photos taken around an object, of a scene in front, or on a walk."""

Up = Float64[np.ndarray, "3"]

AROUND_RAD = np.deg2rad(120)
"""Widest gap that photos around an object leave, seen from the object."""
FORWARD_RAD = np.deg2rad(35)
"""Angle to their mean direction within which photos look forward."""
SPIRAL_TURNS = 2
"""Circles of a spiral while it goes forth and back once."""


def along(cameras: Cameras, frames: int, *, focus_depth: float, up: Up | None = None) -> Cameras:
    """The path that suits the capture (:func:`capture_kind`): an ellipse, a spiral or a spline.

    Args:
        cameras: training cameras, in the order in which they were taken.
        focus_depth: see :func:`spiral`.
        up: see :func:`ellipse`.
    """
    kind = capture_kind(cameras, up=up)
    if kind == "around":
        return ellipse(cameras, frames, up=up)
    if kind == "forward":
        return spiral(cameras, frames, focus_depth=focus_depth)
    return spline(cameras, frames)


def capture_kind(cameras: Cameras, *, up: Up | None = None) -> Capture:
    """How the photos were taken, by where their cameras look.

    Around: most look at one point before them, and none of the gaps between them, seen from there,
    is wider than 120 degrees. Forward: all look within 35 degrees of their mean direction.
    """
    directions = cameras.world_from_camera[:, :3, 2]
    mean = directions.mean(0)
    forward = np.linalg.norm(mean) > 0 and bool(
        (directions @ (mean / np.linalg.norm(mean)) > np.cos(FORWARD_RAD)).all()
    )
    if forward:
        return "forward"
    try:
        focus = focus_point(cameras)
    except DegenerateGeometryError:
        return "through"
    towards = focus - cameras.centres
    looked_at = np.einsum("ni,ni->n", towards, directions) > 0.8 * np.linalg.norm(towards, axis=1)
    axes = _level_axes(cameras, up)
    azimuths = np.sort(np.arctan2(-towards @ axes[1], -towards @ axes[0]))
    gaps = np.diff(azimuths, append=azimuths[0] + 2 * np.pi)
    return "around" if looked_at.mean() >= 0.8 and gaps.max() <= AROUND_RAD else "through"


def spline(cameras: Cameras, frames: int) -> Cameras:
    """A smooth path through all cameras, in their order.

    Centres, intrinsics and orientations are twice differentiable; each camera is passed at
    equal intervals of time.

    Args:
        cameras: at least two.
    """
    knots = np.arange(len(cameras), dtype=np.float64)
    times = np.linspace(0, len(cameras) - 1, frames)
    rotations = Rotation.from_matrix(cameras.world_from_camera[:, :3, :3])
    same_size = (intrinsics_at_size(cameras, index, 0) for index in range(len(cameras)))
    intrinsics = np.stack(list(same_size))
    return _path(
        cameras,
        RotationSpline(knots, rotations)(times).as_matrix(),
        CubicSpline(knots, cameras.centres)(times),
        CubicSpline(knots, intrinsics)(times),
    )


def ellipse(cameras: Cameras, frames: int, *, up: Up | None = None) -> Cameras:
    """Once around what the cameras look at, at their mean height, as far out as most of them.

    Args:
        up: of the world, a unit vector; None = the mean up direction of the photos.

    Raises:
        DegenerateGeometryError: the cameras look in parallel, at no point.

    Source: the paths of Barron et al., Mip-NeRF 360, CVPR 2022, with semi-axes of the cameras' own
    90th percentiles.
    """
    focus = focus_point(cameras)
    first, second, up = _level_axes(cameras, up)
    from_focus = cameras.centres - focus
    flat = np.stack([from_focus @ first, from_focus @ second], axis=1)
    # Along the directions in which the cameras spread most and least.
    spread = np.linalg.eigh(flat.T @ flat)[1].T[::-1]
    semi_axes = np.quantile(np.abs(flat @ spread.T), 0.9, axis=0)
    if semi_axes.min() <= 1e-6 * semi_axes.max():
        raise DegenerateGeometryError(
            f"the {len(cameras)} cameras spread {semi_axes[0]:.3g} along one direction about what "
            f"they look at and {semi_axes[1]:.3g} across, so they are not around it; choose a "
            "spline or a spiral"
        )
    angle = 2 * np.pi * np.arange(frames) / frames
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1) * semi_axes @ spread
    centres = focus + around @ np.stack([first, second]) + (from_focus @ up).mean() * up
    return _path(
        cameras,
        facing(focus - centres, np.tile(up, (frames, 1))),
        centres,
        np.tile(cameras.intrinsics[0], (frames, 1, 1)),
    )


def spiral(cameras: Cameras, frames: int, *, focus_depth: float) -> Cameras:
    """Circles about the mean camera, swaying forth and back, all looking at one point.

    Args:
        focus_depth: distance of that point before the mean camera, world units: about where the
            scene is, such as the median of a rendered depth.

    Source: the paths of Mildenhall et al., Local Light Field Fusion, ACM TOG 38(4), 2019.
    """
    forward = _normalised(cameras.world_from_camera[:, :3, 2].mean(0))
    up = -cameras.world_from_camera[:, :3, 1].mean(0)
    mean_turn = facing(forward[None], up[None])[0]
    centre = cameras.centres.mean(0)
    radii = np.quantile(np.abs((cameras.centres - centre) @ mean_turn), 0.9, axis=0)
    angle = 2 * np.pi * SPIRAL_TURNS * np.arange(frames) / frames
    sway = np.stack([np.cos(angle), np.sin(angle), np.sin(angle / SPIRAL_TURNS)], axis=1)
    centres = centre + sway * radii @ mean_turn.T
    focus = centre + focus_depth * forward
    return _path(
        cameras,
        facing(focus - centres, np.tile(up, (frames, 1))),
        centres,
        np.tile(cameras.intrinsics[0], (frames, 1, 1)),
    )


def focus_point(cameras: Cameras) -> Float64[np.ndarray, "3"]:
    """The point nearest to all optical axes, in least squares.

    Raises:
        DegenerateGeometryError: the axes are parallel.
    """
    directions = cameras.world_from_camera[:, :3, 2]
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    total = across.sum(0)
    smallest = float(np.linalg.eigvalsh(total)[0])
    if smallest <= 1e-9 * len(cameras):
        raise DegenerateGeometryError(
            f"the optical axes of {len(cameras)} cameras are parallel (spread {smallest:.3g}), so "
            "they look at no one point; choose a spline or a spiral"
        )
    return np.linalg.solve(total, np.einsum("nij,nj->i", across, cameras.centres))


def facing(
    forward: Float64[np.ndarray, "n 3"], up: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, "n 3 3"]:
    """World-from-camera orientations (OpenCV axes) that look along ``forward``, upright."""
    z = _normalised(forward)
    x = _normalised(np.cross(-up, z))
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _level_axes(cameras: Cameras, up: Up | None) -> Float64[np.ndarray, "3 3"]:
    """Rows: two axes of the ground and the up direction, by default the mean one of the photos."""
    if up is None:
        up = _normalised(-cameras.world_from_camera[:, :3, 1].mean(0))
    first = _normalised(np.cross(up, np.eye(3)[np.argmin(np.abs(up))]))
    return np.stack([first, np.cross(up, first), up])


def _normalised(vectors: Float64[np.ndarray, "*b 3"]) -> Float64[np.ndarray, "*b 3"]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _path(
    cameras: Cameras,
    world_from_camera: Float64[np.ndarray, "n 3 3"],
    centres: Float64[np.ndarray, "n 3"],
    intrinsics: Float64[np.ndarray, "n 3 3"],
) -> Cameras:
    """Frames of the size of the first camera."""
    frames = len(centres)
    return cameras_from_poses(
        tuple(f"frame_{number:05d}" for number in range(frames)),
        world_from_camera,
        centres,
        intrinsics,
        np.tile(cameras.sizes[:1], (frames, 1)),
    )
