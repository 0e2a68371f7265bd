"""A plane painted with waves, photographed from known places: geometry and colours are formulas."""

from itertools import combinations

import numpy as np

from tasks.cameras import Cameras
from tasks.metrics.images import psnr_db
from tasks.sfm.matches import Matches
from tasks.splat.fit import Splat
from tasks.splat.render import render
from tasks.splat.training_photos import PosedPhotos

WIDTH, HEIGHT, FOCAL = 64, 48, 60.0
DISTANCE = 3.0


def paint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """RGB in [0, 1] at places of the plane z = 0."""
    waves = [np.sin(3 * x + 1), np.cos(4 * y - 2 * x), np.sin(2 * x + 3 * y)]
    return 0.5 + 0.35 * np.stack(waves, axis=-1)


def photograph(count: int = 8) -> PosedPhotos:
    """Cameras on a line, looking straight at the plane, and a grid of its points matched in all."""
    places = np.linspace(-0.5, 0.5, count)
    camera_from_world = np.tile(np.eye(4), (count, 1, 1))
    camera_from_world[:, 0, 3] = -places
    camera_from_world[:, 1, 3] = 0.1 * np.cos(np.arange(count))
    camera_from_world[:, 2, 3] = DISTANCE
    intrinsics = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]])
    cameras = Cameras(
        names=tuple(f"{index}.png" for index in range(count)),
        camera_from_world=camera_from_world,
        intrinsics=np.tile(intrinsics, (count, 1, 1)),
        sizes=np.tile(np.array([[WIDTH, HEIGHT]], dtype=np.int64), (count, 1)),
    )
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    photos = []
    for pose in camera_from_world:
        x = (columns - WIDTH / 2) / FOCAL * DISTANCE - pose[0, 3]
        y = (rows - HEIGHT / 2) / FOCAL * DISTANCE - pose[1, 3]
        photos.append(np.round(255 * paint(x, y)).astype(np.uint8))
    return PosedPhotos(
        cameras=cameras,
        matches=_matches(cameras),
        photos=photos,
        masks=[None] * count,
    )


def _matches(cameras: Cameras) -> Matches:
    x, y = np.meshgrid(np.linspace(-2.2, 2.2, 34), np.linspace(-1.4, 1.4, 22))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    xy = []
    for pose, intrinsics in zip(cameras.camera_from_world, cameras.intrinsics, strict=True):
        pixels = (points @ pose[:3, :3].T + pose[:3, 3]) @ intrinsics.T
        xy.append(pixels[:, :2] / pixels[:, 2:])
    return all_matched(np.stack(xy))


def all_matched(xy: np.ndarray) -> Matches:
    """Matches of every two photos.

    Args:
        xy: pixels of each point in each photo, [photos points 2].
    """
    photos, points = xy.shape[:2]
    number = np.arange(photos * points).reshape(photos, points)
    pairs = [
        np.stack([number[one], number[other]], axis=1)
        for one, other in combinations(range(photos), 2)
    ]
    return Matches(
        photo_index=np.repeat(np.arange(photos), points).astype(np.int32),
        xy=xy.reshape(-1, 2).astype(np.float32),
        pairs=np.concatenate(pairs).astype(np.int32),
    )


def held_out_psnr_db(scene: PosedPhotos, splat: Splat) -> float:
    """Mean over the photos that the fit did not see."""
    found = []
    for name in splat.held_out:
        index = scene.cameras.names.index(name)
        seen = render(splat.fitted.gaussians, scene.cameras, index).rgb.numpy()
        found.append(psnr_db(seen, scene.photos[index] / np.float32(255)))
    return float(np.mean(found))
