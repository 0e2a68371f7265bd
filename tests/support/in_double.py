"""Repairs once more: in double precision, from their formulas alone."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch.nn.functional import conv2d, pad, pixel_shuffle, pixel_unshuffle

from tasks.refine.config import Reproject
from tasks.refine.photos.features import Features
from tasks.refine.refiner import ViewBatch
from tasks.refine.residual.network import ResidualNetwork


def mean_about(values: np.ndarray, radius: int) -> np.ndarray:
    """Of the square around each pixel, what lies outside left out; of the first two axes."""
    size = (2 * radius + 1, 2 * radius + 1) + (1,) * (values.ndim - 2)
    inside = uniform_filter(np.ones(values.shape), size, mode="constant")
    return uniform_filter(values, size, mode="constant") / inside


def colour_fit(
    photo: np.ndarray, target: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset of each channel."""
    gains, offsets = [], []
    prior = weight[::2, ::2].ravel()
    strength = 0.1 * len(prior)
    for channel in range(3):
        x, y = (image[::2, ::2, channel].ravel() for image in (photo, target))
        w = prior
        for _ in range(3):
            mass = w.sum()
            if mass > 0:
                x_mean, y_mean = (w @ x) / mass, (w @ y) / mass
            else:
                x_mean = y_mean = 0.0
            gain = (w @ ((x - x_mean) * (y - y_mean)) + 0.05 * strength) / (
                w @ (x - x_mean) ** 2 + 0.05 * strength
            )
            gain = np.clip(gain, 0.8, 1.25)
            offset = np.clip(mass * (y_mean - gain * x_mean) / (mass + strength), -0.1, 0.1)
            w = prior / (1 + ((gain * x + offset - y) / 0.05) ** 2)
        gains.append(gain)
        offsets.append(offset)
    return np.array(gains), np.array(offsets)


def recoloured(photo: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    gain, offset = colour_fit(photo, target, weight)
    return np.clip(gain * photo + offset, 0, 1)


def weighted(photos: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(0)[..., None]
    return (weights[..., None] * photos).sum(0) / np.where(total > 0, total, 1)


def fused(photos: np.ndarray, valid: np.ndarray) -> np.ndarray:
    weights = valid * 0.5 ** np.arange(len(photos))[:, None, None]
    first = weighted(photos, weights)
    apart = [mean_about(np.abs(photo - first).mean(-1), 1) for photo in photos]
    return weighted(photos, weights * np.exp(-np.array(apart) / 0.1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """Of one view."""

    photos: np.ndarray
    """The swept ones in the render's colours."""
    warped: np.ndarray
    fused: np.ndarray
    trust: np.ndarray
    image: np.ndarray
    weight: np.ndarray

    def disagreement(self, image: np.ndarray) -> float:
        apart = np.abs(image - self.fused).mean(-1)
        return float((self.trust * apart).sum() / self.trust.sum())


def reference(views: ViewBatch, index: int, config: Reproject) -> Reference:
    """What `reproject` makes of a view."""
    (render, cost, gap, surface_error, warped_valid, confidence, swept, valid, warped) = (
        getattr(views, name)[index].double().numpy()
        for name in (
            "render",
            "swept_cost",
            "surface_gap",
            "surface_error",
            "warped_valid",
            "confidence",
            "swept",
            "swept_valid",
            "warped",
        )
    )
    agreed = (valid.sum(0) >= 2).astype(float)
    trust = agreed * np.exp(-cost / config.detail_scale)
    photos = np.array(
        [
            recoloured(photo, render, confidence * trust * seen)
            for photo, seen in zip(swept, valid, strict=True)
        ]
    )
    joint = fused(photos, valid)
    difference = agreed[..., None] * (joint - render)
    colour = mean_about(difference, config.detail_radius)
    error = mean_about(surface_error, 2)
    seen = 0.5 + 0.5 * warped_valid
    colour_trust = mean_about(
        seen * np.exp(-cost / config.colour_scale) * error / (error + config.colour_error),
        config.detail_radius,
    )
    weight = seen * trust * np.exp(-gap / config.gap_scale)
    detail_trust = np.minimum(1, weight * error / config.detail_error)
    refine = agreed[..., None] * (
        colour_trust[..., None] * colour + detail_trust[..., None] * (difference - colour)
    )
    return Reference(
        photos=photos,
        warped=recoloured(warped, render, confidence * warped_valid),
        fused=joint,
        trust=trust,
        image=np.clip(render + refine, 0, 1),
        weight=weight,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What a residual network says of views."""

    image: np.ndarray
    log_error: np.ndarray
    render_log_error: np.ndarray


def said_by(network: ResidualNetwork, features: Features) -> Said:
    """The network once more, from its weights."""
    weights = {name: value.double() for name, value in network.state_dict().items()}
    pictures, valid, maps = (
        planes.double() for planes in (features.pictures, features.valid, features.maps)
    )
    levels, blocks = len(network.config.widths), network.config.blocks

    def convolved(name: str, x: torch.Tensor, **options: int) -> torch.Tensor:
        return conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **options)

    def through_blocks(name: str, x: torch.Tensor) -> torch.Tensor:
        for block in range(blocks):
            y = convolved(f"{name}.{block}.first", x.relu(), padding=1)
            x = x + convolved(f"{name}.{block}.second", y.relu(), padding=1)
        return x

    height, width = maps.shape[-2:]
    edge = 2**levels
    render, start = pictures[:, :1], pictures[:, 1:2]
    planes = torch.cat(
        [(2 * render - 1).flatten(1, 2), 4 * (pictures[:, 1:] - render).flatten(1, 2)], 1
    )
    planes = torch.cat([planes, 2 * valid - 1, maps], 1)
    planes = pad(planes, (0, -width % edge, 0, -height % edge), mode="replicate")
    x, kept = convolved("stem", pixel_unshuffle(planes, 2), padding=1), []
    for level in range(levels):
        x = through_blocks(f"down.{level}", x)
        kept.append(x)
        if level + 1 < levels:
            x = convolved(f"shrink.{level}", x, stride=2)
    for level in reversed(range(levels)):
        if level + 1 < levels:
            grown = convolved(f"grow.{level}", x)
            x = kept[level] + grown.repeat_interleave(2, -1).repeat_interleave(2, -2)
        x = through_blocks(f"up.{level}", x)
    found = pixel_shuffle(convolved("head", x.relu(), padding=1), 2)[..., :height, :width]
    others = torch.cat([render, pictures[:, 2:]], 1)
    count = others.shape[1]
    image = start[:, 0] + (found[:, :count, None] * (others - start)).sum(1)
    return Said(
        image=(image + found[:, count : count + 3]).numpy(),
        log_error=(found[:, -2] - 3).numpy(),
        render_log_error=(found[:, -1] - 3).numpy(),
    )
