"""Colour alignment of photos, where it applies and where it does not."""

import numpy as np
import torch

from tasks.refine.photos.colour import (
    MAX_GAIN,
    MAX_OFFSET,
    PRIOR_SHARE,
    PRIOR_VARIANCE,
    align_colours,
)
from tests.support.view_batches import noise


def test_a_small_exposure_change_is_corrected_up_to_the_prior() -> None:
    target = 0.2 + 0.6 * noise(1, 60, 80, 3)
    gain, offset = torch.tensor([1.1, 0.95, 1.05]), torch.tensor([0.02, -0.03, 0.01])
    photo = (target - offset) / gain

    found = align_colours(photo, target, torch.ones(1, 60, 80))

    before = (photo - target).abs().mean()
    assert (found - target).abs().mean() < 0.35 * before


def test_colour_alignment_is_ridge_regression_for_small_residuals() -> None:
    photo = 0.3 + 0.4 * noise(40, 50, 3)
    target = photo + 1e-4 * noise(40, 50, 3, seed=1)  # too small for the robust weights to act
    weight = torch.ones(40, 50)

    found = align_colours(photo, target, weight)

    x, y = (image[::2, ::2, 1].double().numpy().ravel() for image in (photo, target))
    anchor = PRIOR_SHARE * len(x) * PRIOR_VARIANCE
    centred = x - x.mean()
    gain = (centred @ (y - y.mean()) + anchor) / (centred @ centred + anchor)
    offset = len(x) * (y.mean() - gain * x.mean()) / (len(x) * (1 + PRIOR_SHARE))
    expected = gain * photo[:, :, 1].double().numpy() + offset
    np.testing.assert_allclose(found[:, :, 1].numpy(), expected, atol=2e-6)


def test_outlier_pixels_do_not_affect_colour_alignment() -> None:
    target = 0.3 + 0.4 * noise(40, 50, 3)
    photo = target.clone()
    photo[:8] = 1.0  # a fifth of it is another surface

    found = align_colours(photo, target, torch.ones(40, 50))

    x, y = (image[:, :, 0].double().numpy().ravel() for image in (photo, target))
    gain, offset = np.polyfit(x, y, 1)  # as all pixels together would have it
    misled = np.abs(gain * x + offset - y).reshape(40, 50)[8:].mean()
    assert (found[8:, :, 0] - target[8:, :, 0]).abs().mean() < 0.5 * misled


def test_zero_weights_leave_colours_unchanged() -> None:
    photo, target = noise(40, 50, 3), noise(40, 50, 3, seed=1)

    found = align_colours(photo, target, torch.zeros(40, 50))

    np.testing.assert_allclose(found, photo, atol=1e-5)


def test_colour_changes_are_bounded() -> None:
    photo, target = 0.1 * noise(2, 40, 50, 3), torch.ones(2, 40, 50, 3)

    found = align_colours(photo, target, torch.ones(2, 40, 50))

    assert found.max() <= 0.1 * MAX_GAIN + MAX_OFFSET + 1e-6


def test_each_image_of_a_batch_is_aligned_independently() -> None:
    photo, target = noise(2, 3, 20, 30, 3), noise(2, 3, 20, 30, 3, seed=1)
    weight = noise(2, 3, 20, 30, seed=2)

    joint = align_colours(photo, target, weight)

    alone = align_colours(photo[1, 2], target[1, 2], weight[1, 2])
    np.testing.assert_allclose(joint[1, 2], alone, atol=1e-6)
