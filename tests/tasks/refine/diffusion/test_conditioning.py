"""Conditioning images for ControlNets, from synthetic views."""

import numpy as np
import torch

from tasks.refine.diffusion.blend import blended
from tasks.refine.diffusion.conditioning import pictures
from tests.support.view_batches import HEIGHT, WIDTH, a_batch, noise


def test_conditioning_images_follow_the_configured_order() -> None:
    swept = noise(1, 2, HEIGHT, WIDTH, 3, seed=3)
    views = a_batch(photos=2, swept=swept)

    render, best, second, again = pictures(views, ["render", "photo", "photo", "photo"])

    np.testing.assert_array_equal(render, views.render.permute(0, 3, 1, 2))
    np.testing.assert_allclose(best, swept[:, 0].permute(0, 3, 1, 2), atol=1e-6)
    np.testing.assert_allclose(second, swept[:, 1].permute(0, 3, 1, 2), atol=1e-6)
    np.testing.assert_array_equal(again, best)


def test_the_render_replaces_a_photo_where_it_is_not_valid() -> None:
    valid = torch.ones(1, 3, HEIGHT, WIDTH)
    valid[:, 0, :, : WIDTH // 2] = 0
    views = a_batch(swept_valid=valid)

    (photo,) = pictures(views, ["photo"])

    left, right = photo[..., : WIDTH // 2], photo[..., WIDTH // 2 :]
    np.testing.assert_array_equal(left, torch.full_like(left, 0.5))
    np.testing.assert_allclose(
        right, views.swept[:, 0].permute(0, 3, 1, 2)[..., WIDTH // 2 :], atol=1e-6
    )


def test_near_depth_is_white_whatever_the_unit() -> None:
    inverse = torch.linspace(0.1, 1, WIDTH).expand(1, HEIGHT, WIDTH)
    metres = a_batch(depth=1 / inverse)
    feet = a_batch(depth=3.28 / inverse)

    (found,) = pictures(metres, ["depth"])
    (other,) = pictures(feet, ["depth"])

    np.testing.assert_allclose(found, other, atol=1e-5)
    ramp = ((torch.linspace(0, 1, WIDTH) - 0.02) / 0.96).clamp(0, 1)
    np.testing.assert_allclose(found, ramp.expand(1, 3, HEIGHT, WIDTH), atol=0.03)


def test_constant_depth_gives_a_finite_image() -> None:
    (found,) = pictures(a_batch(), ["depth"])
    assert torch.isfinite(found).all()


def test_the_drawn_image_is_blended_in_by_one_minus_confidence() -> None:
    confidence = torch.zeros(1, HEIGHT, WIDTH)
    confidence[:, :10] = 1
    confidence[:, 10:20] = 0.25
    views = a_batch(confidence=confidence)
    drawn = noise(1, 3, HEIGHT, WIDTH, seed=5)

    found = blended(views, drawn)

    seen = drawn.permute(0, 2, 3, 1)
    np.testing.assert_array_equal(found.image[:, :10], views.render[:, :10])
    np.testing.assert_allclose(found.image[:, 20:], seen[:, 20:], atol=1e-6)
    np.testing.assert_allclose(
        found.image[:, 10:20], 0.25 * views.render[:, 10:20] + 0.75 * seen[:, 10:20], atol=1e-6
    )
    np.testing.assert_allclose(found.weight, 1 - confidence)
