"""What training makes small.

The mean PSNR of views is the mean of log(squared error): a view that is nearly right counts as much
as one that is far off. Crops know only a part of their view, so their squared errors are divided by
that of their whole view before the network, which is the same to first order.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.refine.residual.network import Repaired

LEAST_ERROR = 1e-4
"""Views nearer to their photo than this squared error (40 dB) do not count for more."""
LEAST_PIXEL_ERROR = 0.003
"""Added to each: less is noise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What crops should show."""

    target: Float[Tensor, "b 3 h w"]
    counts: Float[Tensor, "b h w"]
    """1 where the photo may be used, else 0."""
    before: Float[Tensor, " b"]
    """Squared error of what the network starts from, mean over the whole view."""


def training_loss(
    found: Repaired,
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


def image_loss(
    image: Float[Tensor, "b 3 h w"], truth: Truth, *, detail_weight: float
) -> Float[Tensor, ""]:
    """Squared errors, and differences of gradients."""
    before = truth.before.clamp_min(LEAST_ERROR)
    wrong = (image - truth.target) * truth.counts[:, None]
    loss = (wrong.square().mean((1, 2, 3)) / before).mean()
    return loss + detail_weight * (_roughness(wrong) / before.sqrt()).mean()


def _roughness(images: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, of each image."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean((1, 2, 3))
    right = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))
    return down + right


def _negative_log_likelihood(log_error: Tensor, image: Tensor, truth: Truth) -> Tensor:
    """Of errors under exponential ones of that mean, in which single large ones do not drown the
    rest as their squares would; the image learns nothing by it."""
    error = (image.detach() - truth.target).abs().mean(1) + LEAST_PIXEL_ERROR
    return (truth.counts * (log_error + error * torch.exp(-log_error))).mean()
