"""Perceptual distances: LPIPS, and its shift-tolerant variant ST-LPIPS.

Both compare two images by the features of a network for classification, AlexNet or VGG-16, after
each of its five blocks l: features of a pixel are scaled to unit length, and the squared difference
of each channel has a weight w_lc that was learned from people's judgements,

    d(x, y) = sum_l mean_p sum_c w_lc (f_lc(x, p) - f_lc(y, p))^2.

ST-LPIPS is a distance of its own, with weights of its own, and no estimate of LPIPS: its network
does not skip pixels. AlexNet's first convolution has stride 1, max pooling has stride 1, and both
are followed by a binomial blur that keeps every second pixel, over reflected borders.

Source: Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR
2018, eq. 1, version 0.1 of the linear layers; Ghildyal and Liu, Shift-tolerant Perceptual
Similarity Metric, ECCV 2022, section 4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.nn import functional

from tasks.images import fitted_sizes
from tasks.metrics.perceptual.files import Backbone

CONVOLUTIONS = {"alex": (1, 1, 1, 1, 1), "vgg": (2, 2, 3, 3, 3)}
"""Of each block."""
POOLED = {"alex": (False, True, True, False, False), "vgg": (False, True, True, True, True)}
"""Whether a block begins with max pooling."""
POOL = {"alex": 3, "vgg": 2}
"""Width of its window."""
FIRST_STRIDE = {"alex": 4, "vgg": 1}
"""Of the first convolution, where the network is not shift-tolerant."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of the channels of images in [-1, 1]."""
BINOMIAL = (0.25, 0.5, 0.25)
SMALLEST = 32
"""Least edge of an image that all blocks have pixels of, px."""
LARGEST = 1024
"""Longest edge up to which images are compared as they are, px; larger ones need gigabytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerceptualNetwork:
    """Weights of one distance, on one device."""

    backbone: Backbone
    shift_tolerant: bool
    convolutions: Sequence[tuple[Float32[Tensor, "_ _ _ _"], Float32[Tensor, " _"]]]
    """Weight and bias, in the order in which they are applied."""
    linear: Sequence[Float32[Tensor, " _"]]
    """Weight of each channel, of each block."""

    def features(self, image: Float[Tensor, "1 3 h w"]) -> list[Float[Tensor, "1 _ _ _"]]:
        """Features after each block, of unit length in each pixel.

        Args:
            image: in [0, 1].
        """
        shift, scale = (image.new_tensor(v)[None, :, None, None] for v in (SHIFT, SCALE))
        image = (2 * image - 1 - shift) / scale
        found = []
        remaining = iter(self.convolutions)
        for pooled, count in zip(POOLED[self.backbone], CONVOLUTIONS[self.backbone], strict=True):
            if pooled:
                image = self._pooled(image)
            for _ in range(count):
                image = self._convolved(image, *next(remaining))
            found.append(image / (image.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def _pooled(self, image: Tensor) -> Tensor:
        width = POOL[self.backbone]
        if not self.shift_tolerant:
            return functional.max_pool2d(image, width, stride=2)
        return _halved(functional.max_pool2d(image, width, stride=1))

    def _convolved(self, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        first, width = weight.shape[1] == 3, weight.shape[-1]
        # AlexNet's first window, 11 pixels wide, reaches 2 pixels beyond the image; others to half.
        padding = min(width // 2, 2)
        stride = FIRST_STRIDE[self.backbone] if first else 1
        if stride > 1 and self.shift_tolerant:
            return _halved(functional.conv2d(image, weight, bias, 1, padding)).relu()
        return functional.conv2d(image, weight, bias, stride, padding).relu()


def _halved(image: Tensor) -> Tensor:
    """Every second pixel of the blurred image, whose border is mirrored 2 pixels wide."""
    across = image.new_tensor(BINOMIAL)
    kernel = (across[:, None] * across).expand(image.shape[1], 1, 3, 3)
    mirrored = functional.pad(image, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(mirrored, kernel, stride=2, groups=image.shape[1])


def distance_to(
    network: PerceptualNetwork,
    photo: Float32[np.ndarray, "h w 3"],
    use: Bool[np.ndarray, "h w"] | None = None,
) -> Callable[[Float32[np.ndarray, "h w 3"]], float | None]:
    """The distance of pictures in [0, 1] from a photo, 0 or more, less is better.

    Photo and picture alike are reduced to a longest edge of ``LARGEST``. No image smaller than
    ``SMALLEST`` has a distance: None.

    Args:
        use: pixels that count, all where absent. What a picture shows of the others is taken for
            equal, and a feature counts as much as the pixels do that its share of the image covers:
            near a mask it still sees beyond it, where nothing differs. None where no pixel counts.
    """
    if min(photo.shape[:2]) < SMALLEST or (use is not None and not use.any()):
        return lambda picture: None
    device = network.linear[0].device
    truth = torch.from_numpy(photo).to(device)
    counts = None if use is None else torch.from_numpy(use).to(device)
    size = fitted_sizes(np.array([truth.shape[1::-1]], dtype=np.int64), LARGEST)[0]

    def features(image: Tensor) -> list[Tensor]:
        planes = image.permute(2, 0, 1)[None]
        shape = (int(size[1]), int(size[0]))
        if planes.shape[2:] != shape:
            planes = functional.interpolate(planes, shape, mode="bilinear", antialias=True)
        return network.features(planes)

    with torch.inference_mode():
        reference = features(truth)

    def distance(picture: Float32[np.ndarray, "h w 3"]) -> float | None:
        shown = torch.from_numpy(picture).to(device)
        with torch.inference_mode():
            if counts is not None:
                shown = torch.where(counts[..., None], shown, truth)
            return _distance(network, features(shown), reference, counts)

    return distance


def _distance(
    network: PerceptualNetwork,
    found: Sequence[Tensor],
    reference: Sequence[Tensor],
    use: Tensor | None,
) -> float:
    total = 0.0
    for one, other, weight in zip(found, reference, network.linear, strict=True):
        differs = torch.einsum("c,chw->hw", weight, (one - other)[0].square())
        if use is None:
            total += float(differs.mean())
        else:
            size = (differs.shape[0], differs.shape[1])
            share = functional.adaptive_avg_pool2d(use.to(differs.dtype)[None, None], size)
            total += float((differs * share[0, 0]).sum() / share.sum())
    return total
