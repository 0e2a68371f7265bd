"""Loss terms of the residual network, against numpy and finite differences."""

import numpy as np
import pytest
import torch

from tasks.refine.residual.loss import LEAST_PIXEL_ERROR, training_loss
from tasks.refine.residual.network import RefinedView
from tasks.refine.training.loss import Truth


def double(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


IMAGE, RENDER = double(2, 3, 5, 6, seed=0), double(2, 3, 5, 6, seed=1)
LOG_ERRORS = -3 + double(2, 2, 5, 6, seed=2)
TRUTH = Truth(
    target=double(2, 3, 5, 6, seed=3),
    counts=double(2, 5, 6, seed=4).round(),
    before=torch.tensor([0.01, 0.04], dtype=torch.float64),
)


def loss_of(
    image: torch.Tensor,
    log_errors: torch.Tensor = LOG_ERRORS,
    *,
    detail_weight: float = 0.0,
    error_weight: float = 0.0,
    truth: Truth = TRUTH,
) -> torch.Tensor:
    found = RefinedView(image=image, log_error=log_errors[:, 0], render_log_error=log_errors[:, 1])
    return training_loss(
        found, RENDER, truth, detail_weight=detail_weight, error_weight=error_weight
    )


def test_squared_errors_are_relative_to_the_initial_errors() -> None:
    expected = [
        (((one - target) * use) ** 2).mean() / before
        for one, target, use, before in zip(
            IMAGE.numpy(),
            TRUTH.target.numpy(),
            TRUTH.counts.numpy(),
            TRUTH.before.numpy(),
            strict=True,
        )
    ]
    np.testing.assert_allclose(loss_of(IMAGE), np.mean(expected))


def test_the_loss_falls_like_the_mean_log_error_to_first_order() -> None:
    """With what is there before as the start, over whole views."""
    start = TRUTH.target + 0.1 * double(2, 3, 5, 6, seed=6)
    before = (start - TRUTH.target).square().mean((1, 2, 3))
    truth = Truth(target=TRUTH.target, counts=torch.ones(2, 5, 6).double(), before=before)
    step = 1e-5 * double(2, 3, 5, 6, seed=7)

    def mean_log(image: torch.Tensor) -> torch.Tensor:
        return (image - truth.target).square().mean((1, 2, 3)).log().mean()

    fell = loss_of(start, truth=truth) - loss_of(start + step, truth=truth)
    assert float(fell) == pytest.approx(float(mean_log(start) - mean_log(start + step)), rel=1e-3)


def test_a_constant_offset_adds_no_detail_loss() -> None:
    truth = Truth(target=TRUTH.target, counts=torch.ones(2, 5, 6).double(), before=TRUTH.before)
    off = TRUTH.target + 0.1
    detailed = loss_of(off, truth=truth, detail_weight=3.0)
    assert float(detailed) == pytest.approx(float(loss_of(off, truth=truth)), rel=1e-12)


@pytest.mark.parametrize("weights", [{}, {"detail_weight": 0.7}])
def test_the_loss_gradient_by_the_image_matches_finite_differences(
    weights: dict[str, float],
) -> None:
    image = IMAGE.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda one: loss_of(one, **weights), (image,))


def test_the_loss_gradient_by_predicted_errors_matches_finite_differences() -> None:
    log_errors = (LOG_ERRORS + 2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda one: loss_of(IMAGE, one, error_weight=0.7), (log_errors,)
    )


def test_the_error_term_gives_the_image_no_gradient() -> None:
    image = IMAGE.clone().requires_grad_()
    gradients = []
    for weight in (0.0, 5.0):
        (gradient,) = torch.autograd.grad(loss_of(image, error_weight=weight), image)
        gradients.append(gradient)
    np.testing.assert_array_equal(*gradients)


def test_the_error_term_is_minimal_at_the_log_of_the_error() -> None:
    errors = torch.stack([(one - TRUTH.target).abs().mean(1) for one in (IMAGE, RENDER)], 1)
    best = (errors + LEAST_PIXEL_ERROR).log().requires_grad_()

    (gradient,) = torch.autograd.grad(loss_of(IMAGE, best, error_weight=1.0), best)

    np.testing.assert_allclose(gradient, 0, atol=1e-12)


def test_uncounted_pixels_do_not_affect_the_loss() -> None:
    other = torch.where(TRUTH.counts[:, None] == 0, 1 - IMAGE, IMAGE)
    both = {"detail_weight": 0.5, "error_weight": 0.5}
    assert float(loss_of(other, **both)) == pytest.approx(float(loss_of(IMAGE, **both)), rel=1e-12)


def test_a_zero_initial_error_gives_a_finite_loss() -> None:
    tiny = Truth(target=TRUTH.target, counts=TRUTH.counts, before=0 * TRUTH.before)
    assert torch.isfinite(loss_of(IMAGE, truth=tiny, detail_weight=1.0))
