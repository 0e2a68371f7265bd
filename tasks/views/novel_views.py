"""Novel views of a scene: their poses, between and beyond the training photos, and their choice."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras, cameras_from_poses
from tasks.runtime.context import Context
from tasks.views.config import ViewsConfig
from tasks.views.proximity import neighbour_spacing, pose_distances
from tasks.views.renderer import NovelView, ViewRenderer, render_view

BEYOND_SHARE = 4
"""One view in so many may be beyond the photos."""
LINKS = 2
"""Nearest cameras that each camera is linked to."""
STEP_SHARE = 0.5
"""Maximum length of a step beyond a camera, in units of the cameras' median spacing."""
STEP_RAD = np.deg2rad(10)
"""Maximum rotation of a step."""
SAME_ASPECT = 0.02
"""Relative difference of aspects up to which photos have one shape."""


def novel_views(
    renderer: ViewRenderer, config: ViewsConfig, *, context: Context = Context()
) -> Iterator[NovelView]:
    """The views between the photos, then those beyond them of sufficient confidence.

    Paths beyond continue by a step per round while their views are kept: the mean confidence of a
    view must reach a fraction of the median over the views between.
    """
    cameras, rounds = renderer.stack.cameras, config.rounds if config.beyond else 0
    ways = len(beyond(cameras))
    reserved = min(config.count // BEYOND_SHARE, rounds * ways)
    inner = between(cameras, config.steps)
    inner = inner.select(evenly(len(inner), config.count - reserved))
    typical = []
    for index, name in enumerate(inner.names):
        view = render_view(renderer, inner.select([index]), config)
        typical.append(float(view.confidence.mean()))
        context.progress((index + 1) / (config.count + 1), f"rendered {name}")
        yield view
    least = config.gate * float(np.median(typical))
    made, going_on = 0, evenly(ways, reserved)
    for step in range(1, rounds + 1):
        outer = beyond(cameras, step)
        passed = []
        for way in going_on[: reserved - made]:
            view = render_view(renderer, outer.select([way]), config)
            if float(view.confidence.mean()) < least:
                continue
            made += 1
            passed.append(way)
            context.progress(
                (len(inner) + made) / (config.count + 1), f"rendered {outer.names[way]}"
            )
            yield view
        going_on = passed
    context.progress(1.0, f"made {len(inner) + made} views")


def between(cameras: Cameras, steps: int) -> Cameras:
    """Poses on the way from each camera to its two nearest, each way once.

    Positions and intrinsics are interpolated linearly, orientations along the shortest rotation, at
    ``1 / (steps + 1)``, ``2 / (steps + 1)``, ... of the way.

    Args:
        cameras: at least two; the distance of two is their translation in units of the median
            spacing plus the angle between them in radians.

    Returns:
        Cameras ``between_0000``, ``between_0001``, ... way by way. Each has the size of the first
        camera of its way, and its intrinsics where the other's photo has another shape.

    Source: Shoemake, SIGGRAPH 1985, for the rotations.
    """
    pairs = links(cameras)
    rotations = _rotations(cameras)
    shares = np.arange(1, steps + 1) / (steps + 1)
    orientations, centres, intrinsics, sizes = [], [], [], []
    for one, other in pairs.tolist():
        turn = (rotations[other] * rotations[one].inv()).as_rotvec()
        other_intrinsics = intrinsics_at_size(cameras, other, one)
        for share in shares:
            orientations.append((Rotation.from_rotvec(share * turn) * rotations[one]).as_matrix())
            centres.append((1 - share) * cameras.centres[one] + share * cameras.centres[other])
            intrinsics.append((1 - share) * cameras.intrinsics[one] + share * other_intrinsics)
            sizes.append(cameras.sizes[one])
    return cameras_from_poses(
        tuple(f"between_{number:04d}" for number in range(len(sizes))),
        np.array(orientations),
        np.array(centres),
        np.array(intrinsics),
        np.array(sizes),
    )


def beyond(cameras: Cameras, step: int = 1) -> Cameras:
    """Poses a number of steps beyond the outermost cameras.

    The way from a linked camera to another goes on past the other where no camera lies further
    along it; the shortest such way, if several lead past one camera. A step is half the median
    spacing or less, since it is never longer than the way itself, and turns as the way does, 10
    degrees or less.

    Args:
        cameras: at least two.
        step: 1 for the poses next to the cameras; every step has the same ways in the same order.

    Returns:
        Cameras ``beyond_0000_1``, ... with the way and the step in the name, and the intrinsics and
        size of the camera they are beyond; none where cameras close a ring or stand in one place.
    """
    spacing = neighbour_spacing(cameras)
    rotations, centres = _rotations(cameras), cameras.centres
    ways = _outward_ways(cameras)
    orientations, places = [], []
    for start, end in ways:
        way = centres[end] - centres[start]
        length = float(np.linalg.norm(way))
        advance = min(STEP_SHARE * spacing, length)
        turn = (rotations[end] * rotations[start].inv()).as_rotvec() * (advance / length)
        turn *= min(1.0, STEP_RAD / max(float(np.linalg.norm(turn)), 1e-12))
        orientations.append((Rotation.from_rotvec(step * turn) * rotations[end]).as_matrix())
        places.append(centres[end] + step * advance / length * way)
    passed = [end for _, end in ways]
    return cameras_from_poses(
        tuple(f"beyond_{number:04d}_{step}" for number in range(len(ways))),
        np.array(orientations).reshape(-1, 3, 3),
        np.array(places).reshape(-1, 3),
        cameras.intrinsics[passed],
        cameras.sizes[passed],
    )


def evenly(total: int, count: int) -> list[int]:
    """Indices of ``count`` among ``total`` things, or of all if they are fewer, evenly spread."""
    if total <= count:
        return list(range(total))
    return [(2 * place + 1) * total // (2 * count) for place in range(count)]


def links(cameras: Cameras) -> Int64[np.ndarray, "m 2"]:
    """Each camera with its two nearest, each pair once, the lower index first, sorted."""
    distance = pose_distances(cameras, cameras, spacing=neighbour_spacing(cameras))
    np.fill_diagonal(distance, np.inf)
    count = min(LINKS, len(cameras) - 1)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :count]
    pairs = np.stack([np.repeat(np.arange(len(cameras)), count), nearest.ravel()], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0).astype(np.int64)


def intrinsics_at_size(cameras: Cameras, index: int, like: int) -> Float64[np.ndarray, "3 3"]:
    """Intrinsics of a camera at another's photo size; the other's own where the shapes differ."""
    ratio = cameras.sizes[like] / cameras.sizes[index]
    if abs(ratio[0] / ratio[1] - 1) > SAME_ASPECT:
        return cameras.intrinsics[like]
    return cameras.select([index]).resized(cameras.sizes[[like]]).intrinsics[0]


def _rotations(cameras: Cameras) -> list[Rotation]:
    """World-from-camera orientations."""
    return [Rotation.from_matrix(pose) for pose in cameras.world_from_camera[:, :3, :3]]


def _outward_ways(cameras: Cameras) -> list[tuple[int, int]]:
    """For each camera that one of its links leads out of the others' midst: that link's start, and
    the camera. The shortest such link, if there are several."""
    centres = cameras.centres
    pairs = links(cameras)
    ways = np.concatenate([pairs, pairs[:, ::-1]])
    lengths = np.linalg.norm(centres[ways[:, 1]] - centres[ways[:, 0]], axis=1)
    found: dict[int, int] = {}
    for index in np.argsort(lengths, kind="stable"):
        start, end = ways[index].tolist()
        along = (centres - centres[end]) @ (centres[end] - centres[start])
        if lengths[index] > 0 and along.max() <= 1e-9 * lengths[index] ** 2:
            found.setdefault(end, start)
    return [(found[end], end) for end in sorted(found)]
