"""The background shell behind the scene."""

import numpy as np
import pytest
import torch

from tasks.splat.init.background import COUNT, background_shell, evenly_spread
from tasks.splat.init.points import SH_0
from tasks.splat.render import render
from tasks.splat.training_photos import SizedPhotos
from tests.support.painted_plane import photograph

SCENE = photograph()
POINTS = np.random.default_rng(0).uniform(-2, 2, (100, 3)) * [1, 1, 0.1]


def photos_of(colour: tuple[int, int, int]) -> SizedPhotos:
    size = SCENE.photos[0].shape
    painted = [np.broadcast_to(np.uint8(colour), size).copy() for _ in SCENE.photos]
    return SizedPhotos(cameras=SCENE.cameras, photos=painted, weights=[None] * len(painted))


def test_background_directions_are_evenly_spread() -> None:
    directions = evenly_spread(COUNT)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    np.testing.assert_allclose(directions.mean(0), 0, atol=0.01)
    apart = np.sort(np.arccos(np.clip(directions @ directions.T, -1, 1)), axis=1)[:, 1]
    even = np.sqrt(4 * np.pi / COUNT)
    assert apart.min() > 0.6 * even
    assert apart.max() < 1.2 * even


def test_the_background_fills_every_view_with_the_colour_of_the_photos() -> None:
    found = background_shell(photos_of((200, 100, 50)), POINTS, sh_degree=1)
    for index in range(len(SCENE.cameras)):
        seen = render(found, SCENE.cameras, index)
        assert float(seen.alpha.min()) > 0.99
        expected = torch.tensor([200, 100, 50]) / 255
        torch.testing.assert_close(seen.rgb, expected.expand_as(seen.rgb), atol=0.01, rtol=0)


def test_the_background_lies_far_behind_all_points() -> None:
    found = background_shell(photos_of((9, 9, 9)), POINTS, sh_degree=0)
    middle = SCENE.cameras.centres.mean(0)
    nearest = np.linalg.norm(found.means.numpy() - middle, axis=1).min()
    assert nearest > 3 * np.linalg.norm(POINTS - middle, axis=1).max()


def test_the_background_has_the_photo_colour_of_each_direction() -> None:
    photos = photos_of((255, 0, 0))
    for photo in photos.photos:
        photo[:, photo.shape[1] // 2 :] = (0, 0, 255)
    found = background_shell(photos, POINTS, sh_degree=0)
    colours = 0.5 + SH_0 * found.sh[:, 0].numpy()
    to_the_side = evenly_spread(COUNT)[:, 0]
    ahead = evenly_spread(COUNT)[:, 2] > 0.85
    left, right = ahead & (to_the_side < -0.25), ahead & (to_the_side > 0.25)
    assert left.any()
    assert right.any()
    np.testing.assert_allclose(colours[left], np.broadcast_to([1, 0, 0], (left.sum(), 3)), atol=0.1)
    np.testing.assert_allclose(
        colours[right], np.broadcast_to([0, 0, 1], (right.sum(), 3)), atol=0.1
    )


@pytest.mark.parametrize("used", [0.0, 1.0])
def test_masked_pixels_do_not_colour_the_background(used: float) -> None:
    photos = photos_of((255, 0, 0))
    half = photos.photos[0].shape[1] // 2
    weights = []
    for photo in photos.photos:
        photo[:, half:] = (0, 0, 255)
        weight = np.ones(photo.shape[:2], np.float32)
        weight[:, half:] = used
        weights.append(weight)
    masked = SizedPhotos(cameras=photos.cameras, photos=photos.photos, weights=weights)
    blue = 0.5 + SH_0 * background_shell(masked, POINTS, sh_degree=0).sh[:, 0, 2].max().item()
    assert (blue > 0.5) == (used > 0)
