"""Input features of the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.refine.photos.features import MAPS, features_of
from tasks.refine.photos.reproject import reproject
from tasks.refine.refiner import ViewBatch
from tasks.refine.residual.config import NetworkConfig
from tests.support.view_batches import HEIGHT, WIDTH, a_batch, noise

SHAPE = (1, HEIGHT, WIDTH)


def noisy(seed: int = 0, photos: int = 3) -> ViewBatch:
    return a_batch(
        render=noise(*SHAPE, 3, seed=seed),
        depth=0.1 + noise(*SHAPE, seed=seed + 1),
        swept_depth=0.1 + noise(*SHAPE, seed=seed + 2),
        alpha=noise(*SHAPE, seed=seed + 3),
        confidence=noise(*SHAPE, seed=seed + 4),
        warped_valid=noise(*SHAPE, seed=seed + 5),
        swept=noise(1, photos, HEIGHT, WIDTH, 3, seed=seed + 6),
        swept_valid=noise(1, photos, HEIGHT, WIDTH, seed=seed + 7).round(),
        swept_cost=noise(*SHAPE, seed=seed + 8) ** 4,
        surface_gap=noise(*SHAPE, seed=seed + 9) ** 4,
        surface_error=noise(*SHAPE, seed=seed + 10) ** 4,
    )


def test_the_first_features_are_the_render_and_the_reproject_image() -> None:
    views, config = noisy(), NetworkConfig()

    found = features_of(views, config).pictures.permute(0, 1, 3, 4, 2)

    np.testing.assert_array_equal(found[:, 0], views.render)
    np.testing.assert_array_equal(found[:, 1], reproject(views, config.reproject).image)


def test_photos_are_unchanged_where_valid_and_without_colour_alignment() -> None:
    views = a_batch(confidence=torch.zeros(SHAPE))  # nothing to align colours to

    found = features_of(views, NetworkConfig()).pictures.permute(0, 1, 3, 4, 2)

    for photo in range(2, 6):
        np.testing.assert_allclose(found[:, photo], views.nearest, atol=1e-6)


def test_photos_are_replaced_by_the_render_where_not_valid() -> None:
    views = noisy()

    found = features_of(views, NetworkConfig())

    for photo in range(3):
        unseen = views.swept_valid[0, photo] == 0
        shown = found.pictures[0, 3 + photo].permute(1, 2, 0)
        np.testing.assert_array_equal(shown[unseen], views.render[0][unseen])
        np.testing.assert_array_equal(found.valid[0, 1 + photo], views.swept_valid[0, photo])


@pytest.mark.parametrize("photos", [1, 2, 5])
def test_missing_photos_are_filled_with_the_render(photos: int) -> None:
    views = noisy(photos=photos)

    found = features_of(views, NetworkConfig(photos=3))

    assert found.pictures.shape == (1, 6, 3, HEIGHT, WIDTH)
    assert found.maps.shape == (1, MAPS, HEIGHT, WIDTH)
    missing = found.pictures[0, 3 + photos :].permute(0, 2, 3, 1)
    np.testing.assert_array_equal(missing, views.render.expand_as(missing))
    np.testing.assert_array_equal(found.valid[0, 1 + photos :], 0)


def test_features_do_not_depend_on_the_scale_of_the_world() -> None:
    views = noisy()
    larger = replace(views, depth=64 * views.depth, swept_depth=64 * views.swept_depth)

    found, expected = (features_of(one, NetworkConfig()) for one in (larger, views))

    np.testing.assert_allclose(found.maps, expected.maps, atol=1e-6)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), photos=st.integers(1, 4))
def test_all_features_are_bounded(seed: int, photos: int) -> None:
    found = features_of(noisy(seed, photos), NetworkConfig())

    assert found.pictures.min() >= 0
    assert found.pictures.max() <= 1
    assert found.maps.abs().max() <= 1
