"""What is painted over a render, and where."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter
from view_batches import HEIGHT, WIDTH, a_batch, noise

from tasks.refine.config import RefineConfig, Reproject
from tasks.refine.reproject import box_mean, fuse, reproject
from tasks.refine.select import refiner_for


def test_photos_that_agree_replace_a_render_that_cannot_be_believed() -> None:
    views = a_batch(confidence=torch.zeros(1, HEIGHT, WIDTH))

    found = reproject(views, Reproject())

    np.testing.assert_allclose(found.image, views.nearest, atol=2e-3)
    np.testing.assert_allclose(found.weight, 1.0)


def test_where_fewer_than_two_photos_see_a_pixel_the_render_stays() -> None:
    valid = torch.ones(1, 3, HEIGHT, WIDTH)
    valid[:, 1:, :, :20] = 0  # the best one alone
    valid[:, :, :, :10] = 0  # none
    views = a_batch(swept_valid=valid)

    found = reproject(views, Reproject(detail_radius=0))

    np.testing.assert_array_equal(found.image[:, :, :20], views.render[:, :, :20])
    np.testing.assert_allclose(found.weight[:, :, :20], 0.3)
    assert (found.image - views.render)[:, :, 20:].abs().mean() > 0.05


def test_photos_that_disagree_leave_the_render() -> None:
    views = a_batch(swept_cost=torch.full((1, HEIGHT, WIDTH), 0.9))

    found = reproject(views, Reproject())

    np.testing.assert_allclose(found.image, views.render, atol=1e-4)
    np.testing.assert_allclose(found.weight, views.confidence, atol=1e-4)


def test_colour_and_detail_are_blended_by_their_own_trust() -> None:
    cost, radius = 0.05, 3
    views = a_batch(
        swept_cost=torch.full((1, HEIGHT, WIDTH), cost),
        confidence=torch.zeros(1, HEIGHT, WIDTH),  # nothing to align colours to
    )

    found = reproject(views, Reproject(colour_scale=0.1, detail_scale=0.02, detail_radius=radius))

    difference = (views.nearest - views.render)[0].double().numpy()
    colour = uniform_filter(difference, (2 * radius + 1,) * 2 + (1,))
    expected = 0.5 + np.exp(-cost / 0.1) * colour + np.exp(-cost / 0.02) * (difference - colour)
    inner = (slice(radius, -radius), slice(radius, -radius))  # scipy treats borders otherwise
    np.testing.assert_allclose(found.image[0].numpy()[inner], expected[inner], atol=1e-5)


def test_a_believed_render_is_changed_less() -> None:
    doubted, believed = (
        reproject(a_batch(confidence=torch.full((1, HEIGHT, WIDTH), c)), Reproject())
        for c in (0.0, 1.0)
    )

    change_of_doubted, change_of_believed = (
        (found.image - 0.5).abs().mean() for found in (doubted, believed)
    )
    assert 0.3 < change_of_believed / change_of_doubted < 0.7


def test_the_best_photo_counts_most_and_an_outlier_hardly() -> None:
    photos = torch.full((1, 3, 9, 9, 3), 0.4)
    photos[:, 1] = 0.42
    photos[:, 2] = 0.95
    valid = torch.ones(1, 3, 9, 9)

    fused = fuse(photos, valid)

    assert fused.min() > 0.4
    assert fused.max() < 0.43


def test_fusing_equal_photos_gives_that_photo() -> None:
    photo = noise(2, 1, 12, 17, 3)
    valid = torch.ones(2, 4, 12, 17)
    valid[:, 2, 3:6] = 0

    fused = fuse(photo.expand(-1, 4, -1, -1, -1), valid)

    np.testing.assert_allclose(fused, photo[:, 0], atol=1e-6)


def test_views_do_not_change_each_other() -> None:
    views = a_batch(count=2, swept_cost=0.1 * noise(2, HEIGHT, WIDTH, seed=3))

    together = reproject(views, Reproject())

    second = {name: getattr(views, name)[1:] for name in type(views).__slots__}
    alone = reproject(replace(views, **second), Reproject())
    np.testing.assert_allclose(together.image[1], alone.image[0], atol=1e-6)
    np.testing.assert_allclose(together.weight[1], alone.weight[0], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), photos=st.integers(1, 4))
def test_images_and_weights_stay_in_range(seed: int, photos: int) -> None:
    shape = (1, HEIGHT, WIDTH)
    views = a_batch(
        render=noise(*shape, 3, seed=seed),
        confidence=noise(*shape, seed=seed + 1),
        swept=noise(1, photos, HEIGHT, WIDTH, 3, seed=seed + 2),
        swept_valid=noise(1, photos, HEIGHT, WIDTH, seed=seed + 3).round(),
        swept_cost=noise(*shape, seed=seed + 4) ** 4,
    )

    found = reproject(views, Reproject())

    for values in (found.image, found.weight):
        assert torch.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1


@pytest.mark.parametrize("radius", [0, 1, 5, 30])
def test_box_mean_is_the_mean_of_what_lies_within(radius: int) -> None:
    image = noise(1, 11, 13, 2)

    found = box_mean(image, radius)

    for row, column in ((0, 0), (5, 6), (10, 2)):
        top, left = max(0, row - radius), max(0, column - radius)
        about = image[0, top : row + radius + 1, left : column + radius + 1]
        np.testing.assert_allclose(found[0, row, column], about.mean((0, 1)), atol=1e-6)


def test_the_refiner_of_a_config_is_the_one_it_names() -> None:
    views = a_batch()
    config = RefineConfig(refiner=Reproject(colour_scale=0.02))

    found = refiner_for(config, "cpu")(views)

    np.testing.assert_array_equal(found.image, reproject(views, config.refiner).image)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_gives() -> None:
    views = a_batch(count=2, swept_cost=0.1 * noise(2, HEIGHT, WIDTH, seed=3))

    on_cuda = refiner_for(RefineConfig(), "cuda")(views)

    on_cpu = refiner_for(RefineConfig(), "cpu")(views)
    assert on_cuda.image.device.type == "cuda"
    np.testing.assert_allclose(on_cuda.image.cpu(), on_cpu.image, atol=1e-5)
