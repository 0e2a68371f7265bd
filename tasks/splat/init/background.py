"""Background of a splat: a shell of wide Gaussians far behind the scene."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.images import from_uint8
from tasks.runtime.context import Device
from tasks.splat.init.points import gaussians_of
from tasks.splat.render import render
from tasks.splat.training_photos import SizedPhotos

COUNT = 500
FARTHER = 4.0
"""Radius of the shell, in distances of the farthest points but a few."""
OPACITY = 0.99
WIDTH = 0.8
"""Standard deviation, in distances between neighbours: wide enough to leave no gap."""
SMOOTHING_RAD = 0.2
ANYWHERE = 1e-4
"""Weight of pixels in other directions, for directions without pixels nearby."""
PIXEL_STEP = 12


def background_shell(
    training: SizedPhotos, points: Float64[np.ndarray, "n 3"], *, sh_degree: int
) -> Gaussians:
    """A shell in the smoothed colours of the photos in its directions.

    Without it, directions that no training photo covers are black, and Gaussians near a camera grow
    to cover textureless, far surfaces.

    Args:
        training: photos, and the pixels that count.
        points: of the scene, world units.

    Returns:
        Opaque Gaussians whose colour does not depend on the direction.
    """
    centres = training.cameras.centres
    middle = centres.mean(0)
    reach = np.quantile(np.linalg.norm(points - middle, axis=1), 0.95)
    radius = FARTHER * max(float(reach), float(np.linalg.norm(centres - middle, axis=1).max()))
    directions = evenly_spread(COUNT)
    sphere = gaussians_of(
        middle + radius * directions,
        _colours(training, directions),
        np.full(COUNT, WIDTH * radius * np.sqrt(4 * np.pi / COUNT)),
        opacity=OPACITY,
        sh_degree=sh_degree,
        seed=0,  # they are round, so their rotations do not matter
    )
    return replace(sphere, num_background=COUNT)


def background_image(
    background: Gaussians, cameras: Cameras, index: int, device: Device
) -> Float32[Tensor, "h w 3"] | None:
    """Render of the background alone for camera ``index``; None without Gaussians.

    The background never changes, so rendering it once spares every iteration the blending of
    Gaussians that cover most of the image: 8 to 25 % of the time of all others.
    """
    if not len(background):
        return None
    return render(background, cameras, index, device=device).rgb.contiguous()


def evenly_spread(count: int) -> Float64[np.ndarray, "count 3"]:
    """Unit vectors on a Fibonacci spiral (Swinbank and Purser, Q. J. R. Meteorol. Soc. 2006)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    across = np.sqrt(1 - z * z)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)


def _colours(
    training: SizedPhotos, directions: Float64[np.ndarray, "d 3"]
) -> Float64[np.ndarray, "d 3"]:
    """Means of pixels, weighted by their angle to each direction; grey if there are no pixels."""
    sums = np.full((len(directions), 4), 1e-9) * [0.5, 0.5, 0.5, 1]
    for index, photo in enumerate(training.photos):
        rays, colours = _pixels(training, index, photo)
        falling = (directions @ rays.T - 1) / (SMOOTHING_RAD**2 / 2)
        weights = np.exp(falling) + ANYWHERE
        sums += weights @ np.column_stack([colours, np.ones(len(colours))])
    return sums[:, :3] / sums[:, 3:]


def _pixels(
    training: SizedPhotos, index: int, photo: np.ndarray
) -> tuple[Float[np.ndarray, "m 3"], Float32[np.ndarray, "m 3"]]:
    """Directions in the world, of length 1, and colours of some pixels of a photo."""
    half = PIXEL_STEP // 2
    rows, columns = np.mgrid[half : photo.shape[0] : PIXEL_STEP, half : photo.shape[1] : PIXEL_STEP]
    rows, columns = rows.ravel(), columns.ravel()
    if (weight := training.weights[index]) is not None:
        used = weight[rows, columns] > 0
        rows, columns = rows[used], columns[used]
    camera_from_pixel = np.linalg.inv(training.cameras.intrinsics[index])
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
    in_camera = pixels @ camera_from_pixel.T
    rays = in_camera @ training.cameras.camera_from_world[index, :3, :3]
    return rays / np.linalg.norm(rays, axis=1, keepdims=True), from_uint8(photo[rows, columns])
