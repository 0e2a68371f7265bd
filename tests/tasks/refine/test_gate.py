"""Repairs that the photos contradict are left."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from view_batches import HEIGHT, WIDTH, a_batch

from tasks.refine.batch import Refinement, ViewBatch
from tasks.refine.gate import DETAIL_SCALE, Gated, disagreement, gated
from tasks.refine.photos import align_photos


def views_of(count: int = 1, **changes: torch.Tensor) -> ViewBatch:
    """Photos that are grey 0.5 and a render of 0.3, whose colours nothing is aligned by."""
    shape = (count, HEIGHT, WIDTH)
    return a_batch(
        count=count,
        **{
            "render": torch.full((*shape, 3), 0.3),
            "swept": torch.full((count, 3, HEIGHT, WIDTH, 3), 0.5),
            "confidence": torch.zeros(shape),
            **changes,
        },
    )


def apart(image: torch.Tensor, views: ViewBatch) -> float:
    return float(disagreement(image, align_photos(views, DETAIL_SCALE))[0])


def all_of(views: ViewBatch, value: float) -> Refinement:
    return Refinement(
        image=torch.full_like(views.render, value), weight=torch.full_like(views.alpha, 0.7)
    )


def test_disagreement_is_the_mean_difference_where_photos_see() -> None:
    valid = torch.ones(1, 3, HEIGHT, WIDTH)
    valid[:, 1:, :, :20] = 0  # one photo alone is no witness
    views = views_of(swept_valid=valid)
    image = torch.full_like(views.render, 0.4)
    image[:, :, :20] = 0.9
    assert apart(image, views) == pytest.approx(0.1, abs=1e-6)


def test_pixels_about_which_photos_disagree_count_less() -> None:
    cost = torch.zeros(1, HEIGHT, WIDTH)
    cost[:, :, 28:] = 0.05
    image = torch.full((1, HEIGHT, WIDTH, 3), 0.4)
    image[:, :, 28:] = 0.2
    share = np.exp(-1.0)
    expected = (0.1 + share * 0.3) / (1 + share)
    assert apart(image, views_of(swept_cost=cost)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "kept"),
    # The render differs by 0.2, so less than 0.18 is kept.
    [(0.5, True), (0.33, True), (0.315, False), (0.3, False), (0.1, False), (0.8, False)],
)
def test_a_view_is_kept_where_it_fits_the_photos_better_by_the_margin(
    value: float, kept: bool
) -> None:
    views = views_of()

    found = gated(views, all_of(views, value), margin=0.1)

    assert found.rejected.tolist() == [not kept]
    np.testing.assert_array_equal(found.image, all_of(views, value).image if kept else views.render)
    np.testing.assert_allclose(found.weight, 0.7 if kept else 0.0)


def test_a_view_that_no_photos_speak_for_is_left() -> None:
    views = views_of(swept_valid=torch.zeros(1, 3, HEIGHT, WIDTH))
    found = gated(views, all_of(views, 0.5), margin=0.0)
    assert found.rejected.tolist() == [True]
    np.testing.assert_array_equal(found.image, views.render)


def test_each_view_of_a_batch_is_judged_by_itself() -> None:
    views = views_of(count=2)
    refined = all_of(views, 0.5)
    refined.image[0] = 0.0

    found = Gated(lambda given: refined, 0.03, torch.device("cpu"))(views)

    assert found.rejected.tolist() == [True, False]
    np.testing.assert_array_equal(found.image[0], views.render[0])
    np.testing.assert_array_equal(found.image[1], refined.image[1])


def test_exposure_of_the_photos_is_no_contradiction() -> None:
    """They are brought to the colours of the render before they are asked."""
    views = a_batch(confidence=torch.ones(1, HEIGHT, WIDTH))
    truth = views.nearest
    bright = (views.swept + 0.05).clamp(0, 1)
    seen = replace(views, render=truth, swept=bright)
    assert apart(truth, seen) < 0.02
