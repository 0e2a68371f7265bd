"""The gate blends refined views by their agreement with the photos."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tasks.refine.config import GateConfig
from tasks.refine.gate import DETAIL_SCALE, Gated, disagreement, gated, shares_taken
from tasks.refine.photos.align import align_photos
from tasks.refine.refiner import Refinement, ViewBatch
from tests.support.view_batches import HEIGHT, WIDTH, a_batch


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


def test_disagreement_is_the_mean_difference_where_photos_are_valid() -> None:
    valid = torch.ones(1, 3, HEIGHT, WIDTH)
    valid[:, 1:, :, :20] = 0  # one photo alone is no witness
    views = views_of(swept_valid=valid)
    image = torch.full_like(views.render, 0.4)
    image[:, :, :20] = 0.9
    assert apart(image, views) == pytest.approx(0.1, abs=1e-6)


def test_pixels_where_photos_disagree_have_less_weight() -> None:
    cost = torch.zeros(1, HEIGHT, WIDTH)
    cost[:, :, 28:] = 0.05
    image = torch.full((1, HEIGHT, WIDTH, 3), 0.4)
    image[:, :, 28:] = 0.2
    share = np.exp(-1.0)
    expected = (0.1 + share * 0.3) / (1 + share)
    assert apart(image, views_of(swept_cost=cost)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "taken"),
    # The render differs by 0.2: of that a tenth must go, and from the half on all is taken.
    [
        (0.5, 1.0),
        (0.42, 1.0),
        (0.36, 0.5),
        (0.38, 0.75),
        (0.31, 0.0),
        (0.3, 0.0),
        (0.1, 0.0),
        (0.8, 0.0),
    ],
)
def test_the_blend_weight_follows_the_reduction_of_disagreement(value: float, taken: float) -> None:
    views = views_of()

    found = gated(views, all_of(views, value), GateConfig(least=0.1, full=0.5))

    assert found.rejected.tolist() == [taken == 0]
    np.testing.assert_allclose(found.image, 0.3 + taken * (value - 0.3), atol=1e-6)
    np.testing.assert_allclose(found.weight, 0.7 if taken else 0.0)


@pytest.mark.parametrize("taken", [0.0, 1.0])
def test_a_blend_weight_of_0_or_1_is_exact(taken: float) -> None:
    views = views_of()
    refined = all_of(views, 0.5 if taken else 0.2)
    found = gated(views, refined, GateConfig())
    np.testing.assert_array_equal(found.image, refined.image if taken else views.render)


def test_equal_thresholds_make_the_gate_a_step() -> None:
    shares = shares_taken(
        torch.full((4,), 0.2),
        torch.tensor([0.19, 0.161, 0.159, 0.0]),
        GateConfig(least=0.2, full=0.2),
    )
    assert shares.tolist() == [0, 0, 1, 1]


def test_a_gate_with_zero_thresholds_rejects_views_without_improvement() -> None:
    before = torch.tensor([0.2, 0.2, 0.0])
    after = torch.tensor([0.2, 0.3, 0.0])
    shares = shares_taken(before, after, GateConfig(least=0, full=0))
    assert shares.tolist() == [0, 0, 0]


def test_a_gate_with_full_below_least_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"full \(0.1\) is less than least \(0.3\)"):
        GateConfig(least=0.3, full=0.1)


def test_a_view_without_valid_photos_is_rejected() -> None:
    views = views_of(swept_valid=torch.zeros(1, 3, HEIGHT, WIDTH))
    found = gated(views, all_of(views, 0.5), GateConfig(least=0, full=0))
    assert found.rejected.tolist() == [True]
    np.testing.assert_array_equal(found.image, views.render)


def test_each_view_of_a_batch_is_gated_independently() -> None:
    views = views_of(count=2)
    refined = all_of(views, 0.5)
    refined.image[0] = 0.0

    found = Gated(lambda given: refined, GateConfig(), torch.device("cpu"))(views)

    assert found.rejected.tolist() == [True, False]
    np.testing.assert_array_equal(found.image[0], views.render[0])
    np.testing.assert_array_equal(found.image[1], refined.image[1])


def test_an_exposure_difference_of_the_photos_is_no_disagreement() -> None:
    """They are brought to the colours of the render before they are asked."""
    views = a_batch(confidence=torch.ones(1, HEIGHT, WIDTH))
    truth = views.nearest
    bright = (views.swept + 0.05).clamp(0, 1)
    seen = replace(views, render=truth, swept=bright)
    assert apart(truth, seen) < 0.02
