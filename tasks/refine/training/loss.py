"""Loss of a refiner's training.

The mean PSNR of views is the mean of log(squared error): a view that is nearly right counts as much
as one that is far off. A crop is only a part of its view, so its squared error is divided by that
of the whole view before the network, which is the same to first order.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

LEAST_ERROR = 1e-4
"""Squared error (40 dB) below which views gain no more weight."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """Targets of crops."""

    target: Float[Tensor, "b 3 h w"]
    counts: Float[Tensor, "b h w"]
    """1 where the photo may be used, else 0."""
    before: Float[Tensor, " b"]
    """Squared error of the network's start image, mean over the whole view."""


def image_loss(
    image: Float[Tensor, "b 3 h w"], truth: Truth, *, detail_weight: float
) -> Float[Tensor, ""]:
    """Relative squared errors, and relative differences of gradients."""
    before = truth.before.clamp_min(LEAST_ERROR)
    wrong = (image - truth.target) * truth.counts[:, None]
    loss = (wrong.square().mean((1, 2, 3)) / before).mean()
    return loss + detail_weight * (_roughness(wrong) / before.sqrt()).mean()


def _roughness(images: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, of each image."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean((1, 2, 3))
    right = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))
    return down + right
