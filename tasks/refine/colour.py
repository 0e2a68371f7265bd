"""Colours of a warped photo brought to those of the render."""

import torch
from jaxtyping import Float32
from torch import Tensor

ROUNDS = 3
RESIDUAL_SCALE = 0.05
"""Difference at which a pixel counts half: what is not the same surface is not to be fitted."""
PRIOR_SHARE = 0.1
"""The unchanged photo counts like this share of the pixels: where few pixels can be believed, in
the render or in the warp, they change little."""
PRIOR_VARIANCE = 0.05
"""Variance of a typical photo's colours."""
MAX_GAIN = 1.25
MAX_OFFSET = 0.1
STRIDE = 2
"""Only every so many-th pixel of a row and of a column is fitted to; thousands are left."""


def align_colours(
    photo: Float32[Tensor, "*b h w 3"],
    target: Float32[Tensor, "*b h w 3"],
    weight: Float32[Tensor, "*b h w"],
) -> Float32[Tensor, "*b h w 3"]:
    """The photo with the gain and offset of each channel that bring it nearest to the target.

    Reweighted least squares with Cauchy weights and a prior for no change; the gain lies within
    1.25 of 1, the offset within 0.1 of 0.

    Args:
        photo: in [0, 1]; so is the result.
        target: as the photo should look.
        weight: of each pixel, 0 to 1.

    Source: Holland and Welsch, Communications in Statistics 6(9), 1977, table 1 (Cauchy).
    """
    source = photo[..., ::STRIDE, ::STRIDE, :]
    wanted = target[..., ::STRIDE, ::STRIDE, :]
    prior = weight[..., ::STRIDE, ::STRIDE, None].expand_as(source)
    strength = PRIOR_SHARE * source.shape[-3] * source.shape[-2]
    weights = prior

    def total(values: Tensor) -> Tensor:
        return values.sum((-3, -2), keepdim=True)

    gain, offset = torch.ones(()), torch.zeros(())
    for _ in range(ROUNDS):
        mass = total(weights)
        safe = mass.clamp_min(1e-6)
        mean, wanted_mean = total(weights * source) / safe, total(weights * wanted) / safe
        centred = source - mean
        covariance = total(weights * centred * (wanted - wanted_mean))
        variance = total(weights * centred**2)
        anchor = strength * PRIOR_VARIANCE
        gain = (covariance + anchor) / (variance + anchor)
        gain = gain.clamp(1 / MAX_GAIN, MAX_GAIN)
        offset = mass * (wanted_mean - gain * mean) / (mass + strength)
        offset = offset.clamp(-MAX_OFFSET, MAX_OFFSET)
        residual = gain * source + offset - wanted
        weights = prior / (1 + (residual / RESIDUAL_SCALE) ** 2)
    return (gain * photo + offset).clamp(0, 1)
