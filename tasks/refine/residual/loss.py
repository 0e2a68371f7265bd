"""What the training of the residual network makes small, beside errors of its images."""

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.refine.residual.network import RefinedView
from tasks.refine.training.loss import Truth, image_loss

LEAST_PIXEL_ERROR = 0.003
"""Added to each: less is noise."""


def training_loss(
    found: RefinedView,
    render: Float[Tensor, "b 3 h w"],
    truth: Truth,
    *,
    detail_weight: float,
    error_weight: float,
) -> Float[Tensor, ""]:
    """That of the image, and the likelihood of predicted errors."""
    predicted = _negative_log_likelihood(found.log_error, found.image, truth)
    predicted = predicted + _negative_log_likelihood(found.render_log_error, render, truth)
    return image_loss(found.image, truth, detail_weight=detail_weight) + error_weight * predicted


def _negative_log_likelihood(log_error: Tensor, image: Tensor, truth: Truth) -> Tensor:
    """Of errors under exponential ones of that mean, in which single large ones do not drown the
    rest as their squares would; the image learns nothing by it."""
    error = (image.detach() - truth.target).abs().mean(1) + LEAST_PIXEL_ERROR
    return (truth.counts * (log_error + error * torch.exp(-log_error))).mean()
