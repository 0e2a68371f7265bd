"""Reprojection of photos onto a render, and its blend weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from tasks.refine.config import RefineConfig, Reproject
from tasks.refine.photos.align import fuse
from tasks.refine.photos.box_filter import box_mean
from tasks.refine.photos.colour import ColourChange
from tasks.refine.photos.reproject import reproject
from tasks.refine.select import refiner_for
from tasks.runtime.context import Context
from tests.support.view_batches import HEIGHT, WIDTH, a_batch, noise


def everywhere(value: float) -> torch.Tensor:
    return torch.full((1, HEIGHT, WIDTH), value)


def unchanged(*batch: int) -> ColourChange:
    return ColourChange(gain=torch.ones(*batch, 3), offset=torch.zeros(*batch, 3))


def test_agreeing_photos_replace_a_wrong_render() -> None:
    views = a_batch(confidence=everywhere(0.0))

    found = reproject(views, Reproject(colour_error=1e-6))

    np.testing.assert_allclose(found.image, views.nearest, atol=2e-3)
    np.testing.assert_allclose(found.weight, 1.0)


def test_pixels_valid_in_fewer_than_two_photos_keep_the_render() -> None:
    valid = torch.ones(1, 3, HEIGHT, WIDTH)
    valid[:, 1:, :, :20] = 0  # the best one alone
    valid[:, :, :, :10] = 0  # none
    views = a_batch(swept_valid=valid)

    found = reproject(views, Reproject(detail_radius=2))

    np.testing.assert_array_equal(found.image[:, :, :20], views.render[:, :, :20])
    np.testing.assert_array_equal(found.weight[:, :, :20], 0)
    assert (found.image - views.render)[:, :, 20:].abs().mean() > 0.05


def test_disagreeing_photos_keep_the_render() -> None:
    views = a_batch(swept_cost=everywhere(0.9))

    found = reproject(views, Reproject(colour_scale=0.08))

    np.testing.assert_allclose(found.image, views.render, atol=1e-4)
    np.testing.assert_allclose(found.weight, 0, atol=1e-4)


def test_colour_and_detail_are_blended_with_separate_weights() -> None:
    cost, gap, error, seen, radius = 0.05, 0.1, 0.02, 0.6, 3
    views = a_batch(
        swept_cost=everywhere(cost),
        surface_gap=everywhere(gap),
        surface_error=everywhere(error),
        warped_valid=everywhere(seen),
        confidence=everywhere(0.0),  # nothing to align colours to
    )
    config = Reproject(
        colour_scale=0.1,
        detail_scale=0.2,
        gap_scale=0.3,
        colour_error=0.03,
        detail_error=0.05,
        detail_radius=radius,
    )

    found = reproject(views, config)

    difference = (views.nearest - views.render)[0].double().numpy()
    colour = uniform_filter(difference, (2 * radius + 1,) * 2 + (1,))
    of_colour = 0.8 * np.exp(-cost / 0.1) * 0.02 / 0.05
    of_detail = 0.8 * np.exp(-cost / 0.2 - gap / 0.3) * 0.02 / 0.05
    expected = 0.5 + of_colour * colour + of_detail * (difference - colour)
    inner = (slice(radius, -radius), slice(radius, -radius))  # scipy treats borders otherwise
    np.testing.assert_allclose(found.image[0].numpy()[inner], expected[inner], atol=1e-5)
    np.testing.assert_allclose(found.weight, 0.8 * np.exp(-cost / 0.2 - gap / 0.3), rtol=1e-5)


def test_a_splat_without_error_in_the_photos_is_not_changed() -> None:
    views = a_batch(surface_error=everywhere(0.0))

    found = reproject(views, Reproject())

    np.testing.assert_array_equal(found.image, views.render)


def test_the_detail_weight_is_at_most_1() -> None:
    huge, enough = (
        reproject(a_batch(surface_error=everywhere(e)), Reproject(colour_error=1e-9))
        for e in (1.0, 0.04)
    )

    np.testing.assert_allclose(huge.image, enough.image, atol=1e-6)


def test_points_off_the_splat_surface_contribute_only_colour() -> None:
    views = a_batch(surface_gap=everywhere(1.0), confidence=everywhere(0.0))

    found = reproject(views, Reproject(gap_scale=0.02, colour_error=1e-9, detail_radius=4))

    colour = box_mean(views.nearest - views.render, 4)
    np.testing.assert_allclose(found.image, views.render + colour, atol=1e-5)


def test_the_weight_is_half_where_the_nearest_photo_is_not_valid() -> None:
    unsure = a_batch(surface_error=everywhere(0.02), confidence=everywhere(0.0))
    hidden, shown = (
        reproject(replace(unsure, warped_valid=everywhere(v)), Reproject()) for v in (0.0, 1.0)
    )

    np.testing.assert_allclose(2 * (hidden.image - 0.5), shown.image - 0.5, atol=1e-5)


def test_the_best_photo_has_most_weight_and_an_outlier_hardly_any() -> None:
    photos = torch.full((1, 3, 9, 9, 3), 0.4)
    photos[:, 1] = 0.42
    photos[:, 2] = 0.95
    valid = torch.ones(1, 3, 9, 9)

    fused = fuse(photos, valid, unchanged(1, 3))

    assert fused.min() > 0.4
    assert fused.max() < 0.43


def test_fusing_equal_photos_returns_the_photo() -> None:
    photo = noise(2, 1, 12, 17, 3)
    valid = torch.ones(2, 4, 12, 17)
    valid[:, 2, 3:6] = 0

    fused = fuse(photo.expand(-1, 4, -1, -1, -1), valid, unchanged(2, 4))

    np.testing.assert_allclose(fused, photo[:, 0], atol=1e-6)


def test_views_of_a_batch_are_independent() -> None:
    views = a_batch(count=2, swept_cost=0.1 * noise(2, HEIGHT, WIDTH, seed=3))

    joint = reproject(views, Reproject())

    second = {name: getattr(views, name)[1:] for name in type(views).__slots__}
    alone = reproject(replace(views, **second), Reproject())
    np.testing.assert_allclose(joint.image[1], alone.image[0], atol=1e-6)
    np.testing.assert_allclose(joint.weight[1], alone.weight[0], atol=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), photos=st.integers(1, 4))
def test_images_and_weights_stay_in_range(seed: int, photos: int) -> None:
    shape = (1, HEIGHT, WIDTH)
    views = a_batch(
        render=noise(*shape, 3, seed=seed),
        confidence=noise(*shape, seed=seed + 1),
        swept=noise(1, photos, HEIGHT, WIDTH, 3, seed=seed + 2),
        swept_valid=noise(1, photos, HEIGHT, WIDTH, seed=seed + 3).round(),
        swept_cost=noise(*shape, seed=seed + 4) ** 4,
        surface_gap=noise(*shape, seed=seed + 5) ** 4,
        surface_error=noise(*shape, seed=seed + 6) ** 4,
        warped_valid=noise(*shape, seed=seed + 7),
    )

    found = reproject(views, Reproject())

    for values in (found.image, found.weight):
        assert torch.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1


@pytest.mark.parametrize("radius", [0, 1, 5, 30])
def test_box_mean_averages_only_pixels_within_the_image(radius: int) -> None:
    image = noise(1, 11, 13, 2)

    found = box_mean(image, radius)

    for row, column in ((0, 0), (5, 6), (10, 2)):
        top, left = max(0, row - radius), max(0, column - radius)
        about = image[0, top : row + radius + 1, left : column + radius + 1]
        np.testing.assert_allclose(found[0, row, column], about.mean((0, 1)), atol=1e-6)


def test_the_configured_kind_selects_the_refiner() -> None:
    views = a_batch()
    config = RefineConfig(refiner=Reproject(colour_scale=0.02))

    found = refiner_for(config)(views)

    np.testing.assert_array_equal(found.image, reproject(views, config.refiner).image)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_and_cpu_refinements_agree() -> None:
    views = a_batch(count=2, swept_cost=0.1 * noise(2, HEIGHT, WIDTH, seed=3))
    config = RefineConfig(refiner=Reproject())

    on_cuda = refiner_for(config, context=Context(device="cuda"))(views)

    on_cpu = refiner_for(config)(views)
    assert on_cuda.image.device.type == "cuda"
    np.testing.assert_allclose(on_cuda.image.cpu(), on_cpu.image, atol=1e-5)
