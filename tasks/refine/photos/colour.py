"""Alignment of a warped photo's colours with those of the render."""

from dataclasses import dataclass

from jaxtyping import Float32
from torch import Tensor

from tasks.refine.cpu.arrays import run
from tasks.refine.cpu.kernels import fit_colours

ROUNDS = 3
RESIDUAL_SCALE = 0.05
"""Difference at which a pixel counts half: another surface must not be fitted."""
PRIOR_SHARE = 0.1
"""The unchanged photo counts like this share of the pixels: where few pixels can be believed, in
the render or in the warp, they change little."""
PRIOR_VARIANCE = 0.05
"""Variance of a typical photo's colours."""
MAX_GAIN = 1.25
MAX_OFFSET = 0.1
STRIDE = 2
"""Step between the pixels that are fitted to, along rows and columns; thousands remain."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColourChange:
    """A linear change of each channel of images."""

    gain: Float32[Tensor, "*b 3"]
    offset: Float32[Tensor, "*b 3"]

    def apply(self, images: Float32[Tensor, "*b h w 3"]) -> Float32[Tensor, "*b h w 3"]:
        """The changed images, clipped to [0, 1]."""
        gain, offset = self.gain[..., None, None, :], self.offset[..., None, None, :]
        return (gain * images + offset).clamp(0, 1)


def align_colours(
    photo: Float32[Tensor, "*b h w 3"],
    target: Float32[Tensor, "*b h w 3"],
    weight: Float32[Tensor, "*b h w"],
) -> Float32[Tensor, "*b h w 3"]:
    """The photo with its colours aligned with the target; see :func:`colour_change`."""
    return colour_change(photo, target, weight).apply(photo)


def colour_change(
    photo: Float32[Tensor, "*b h w 3"],
    target: Float32[Tensor, "*b h w 3"],
    *weights: Tensor,
) -> ColourChange:
    """Gain and offset of each channel that align a photo with the target.

    Reweighted least squares with Cauchy weights and a prior for no change; the gain lies within
    1.25 of 1, the offset within 0.1 of 0.

    Args:
        photo: in [0, 1].
        target: the image that the photo is aligned with.
        weights: of each pixel, 0 to 1, which are multiplied; ``[*b h w]``, or as broadcasts to it.

    Source: Holland and Welsch, Communications in Statistics 6(9), 1977, table 1 (Cauchy).
    """
    prior = photo.new_ones(())
    for weight in weights:
        prior = weight[..., ::STRIDE, ::STRIDE] * prior
    source = photo[..., ::STRIDE, ::STRIDE, :]
    pixels = source.shape[-3] * source.shape[-2]
    prior = prior.expand(source.shape[:-1]).reshape(-1, pixels)
    fit = _fit_on_cpu if photo.device.type == "cpu" else fit_torch
    gain, offset = fit(_planar(source), _planar(target[..., ::STRIDE, ::STRIDE, :]), prior)
    batch = photo.shape[:-3]
    return ColourChange(gain=gain.view(*batch, 3), offset=offset.view(*batch, 3))


def _planar(images: Float32[Tensor, "*b h w 3"]) -> Float32[Tensor, "n 3 m"]:
    height, width = images.shape[-3:-1]
    return images.movedim(-1, -3).reshape(-1, 3, height * width)


def _fit_on_cpu(
    source: Float32[Tensor, "n 3 m"],
    wanted: Float32[Tensor, "n 3 m"],
    prior: Float32[Tensor, "n m"],
) -> tuple[Float32[Tensor, "n 3"], Float32[Tensor, "n 3"]]:
    gain, offset = source.new_empty(source.shape[:2]), source.new_empty(source.shape[:2])
    strength = PRIOR_SHARE * source.shape[2]
    run(
        fit_colours,
        source,
        wanted,
        prior,
        ROUNDS,
        RESIDUAL_SCALE,
        strength,
        strength * PRIOR_VARIANCE,
        MAX_GAIN,
        MAX_OFFSET,
        gain,
        offset,
    )
    return gain, offset


def fit_torch(
    source: Float32[Tensor, "n 3 m"],
    wanted: Float32[Tensor, "n 3 m"],
    prior: Float32[Tensor, "n m"],
) -> tuple[Float32[Tensor, "n 3"], Float32[Tensor, "n 3"]]:
    """Gains and offsets as the kernel finds them on the CPU, on any device."""
    weights = prior[:, None].expand_as(source)
    strength = PRIOR_SHARE * source.shape[2]
    anchor = strength * PRIOR_VARIANCE

    def total(values: Tensor) -> Tensor:
        return values.sum(2, keepdim=True)

    gain, offset = source.new_ones(()), source.new_zeros(())
    for _ in range(ROUNDS):
        mass = total(weights)
        safe = mass.clamp_min(1e-6)
        mean, wanted_mean = total(weights * source) / safe, total(weights * wanted) / safe
        centred = source - mean
        covariance = total(weights * centred * (wanted - wanted_mean))
        variance = total(weights * centred**2)
        gain = (covariance + anchor) / (variance + anchor)
        gain = gain.clamp(1 / MAX_GAIN, MAX_GAIN)
        offset = mass * (wanted_mean - gain * mean) / (mass + strength)
        offset = offset.clamp(-MAX_OFFSET, MAX_OFFSET)
        residual = gain * source + offset - wanted
        weights = prior[:, None] / (1 + (residual / RESIDUAL_SCALE) ** 2)
    return gain[..., 0], offset[..., 0]
