"""Loss of the residual network: errors of its images and of its predicted errors."""

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.refine.residual.network import RefinedView
from tasks.refine.training.loss import Truth, image_loss

LEAST_PIXEL_ERROR = 0.003
"""Added to each error: smaller ones are noise."""


def training_loss(
    found: RefinedView,
    render: Float[Tensor, "b 3 h w"],
    truth: Truth,
    *,
    detail_weight: float,
    error_weight: float,
) -> Float[Tensor, ""]:
    """Loss of the image plus the negative log likelihood of the predicted errors."""
    predicted = _negative_log_likelihood(found.log_error, found.image, truth)
    predicted = predicted + _negative_log_likelihood(found.render_log_error, render, truth)
    return image_loss(found.image, truth, detail_weight=detail_weight) + error_weight * predicted


def _negative_log_likelihood(log_error: Tensor, image: Tensor, truth: Truth) -> Tensor:
    """Negative log likelihood of errors under an exponential distribution of the predicted mean.

    Single large errors do not dominate it as their squares would; it has no gradient in the image.
    """
    error = (image.detach() - truth.target).abs().mean(1) + LEAST_PIXEL_ERROR
    return (truth.counts * (log_error + error * torch.exp(-log_error))).mean()
