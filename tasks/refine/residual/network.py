"""The network: from pictures of the same pixels to a refined one and its predicted errors.

A U-Net without normalisation layers, over 2x2 pixels folded into channels. For each pixel it
predicts blend weights from the picture R of `reproject` toward each of the others, and a residual:

    image = R + sum_i a_i (P_i - R) + residual,

and the logarithms of the mean absolute errors of that image and of the render. All of this is 0
initially, so an untrained network returns R.

Source of the shape: Ronneberger et al., MICCAI 2015; of folding pixels: Shi et al., CVPR 2016; of
errors as outputs: Kendall and Gal, NeurIPS 2017, sec. 2.2.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, pixel_shuffle, pixel_unshuffle, relu

from tasks.refine.cpu.arrays import run
from tasks.refine.cpu.folding import fold, unfold
from tasks.refine.photos.features import MAPS, Features, picture_count
from tasks.refine.residual.config import NetworkConfig

FOLD = 2
"""Edge of the square of pixels that become the channels of one position."""
DIFFERENCE_SCALE = 4.0
"""Factor on differences of pictures, which are small, to the range of the other inputs."""
TYPICAL_LOG_ERROR = -3.0
"""Initial prediction."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefinedView:
    """Output of the network."""

    image: Float[Tensor, "b 3 h w"]
    """May leave [0, 1]."""
    log_error: Float[Tensor, "b h w"]
    """Natural logarithm of its predicted absolute error, mean over channels."""
    render_log_error: Float[Tensor, "b h w"]
    """The same of the render."""


def _silence(convolution: nn.Conv2d) -> None:
    for weights in convolution.parameters():
        nn.init.zeros_(weights)


class _Block(nn.Module):
    """Two convolutions with a skip connection; the identity initially."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        _silence(self.second)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.second(self.first(relu(x)).relu_())
        return added.add_(x)


class ResidualNetwork(nn.Module):
    """See the module. Takes views of any size."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        widths, blocks = config.widths, config.blocks
        count = picture_count(config)
        inputs = 3 * count + (count - 2) + MAPS
        outputs = (count - 1) + 3 + 2
        self.stem = nn.Conv2d(inputs * FOLD**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_blocks(width, blocks) for width in widths)
        self.shrink = nn.ModuleList(
            nn.Conv2d(wide, narrow, 2, stride=2) for wide, narrow in pairwise(widths)
        )
        self.grow = nn.ModuleList(nn.Conv2d(narrow, wide, 1) for wide, narrow in pairwise(widths))
        self.up = nn.ModuleList(_blocks(width, blocks) for width in widths)
        self.head = nn.Conv2d(widths[0], outputs * FOLD**2, 3, padding=1)
        _silence(self.head)

    @property
    def stride(self) -> int:
        """Pixels that become one at the smallest size; crops that start at a multiple of it give
        what the whole gives."""
        return int(FOLD * 2 ** (len(self.config.widths) - 1))

    @property
    def reach(self) -> int:
        """A pixel of the result depends on none further away, px; a multiple of ``stride``."""
        convolutions = 4 * self.config.blocks
        sizes = [FOLD * 2**level for level in range(len(self.config.widths))]
        exact = 2 * FOLD + sum((convolutions + 1) * size for size in sizes)
        return -(-exact // self.stride) * self.stride

    def forward(self, features: Features) -> RefinedView:
        if features.pictures.device.type == "cpu" and not torch.is_grad_enabled():
            return self._on_cpu(features)
        pictures = features.pictures
        height, width = pictures.shape[-2:]
        render, refined = pictures[:, 0], pictures[:, 1]
        differences = DIFFERENCE_SCALE * (pictures[:, 1:] - render[:, None])
        planes = torch.cat(
            [2 * render - 1, differences.flatten(1, 2), 2 * features.valid - 1, features.maps], 1
        )
        missing = (0, -width % self.stride, 0, -height % self.stride)
        planes = pad(planes, missing, mode="replicate")
        planes = pixel_unshuffle(planes, FOLD).contiguous(memory_format=torch.channels_last)
        found = pixel_shuffle(self._trunk(planes), FOLD).float()[..., :height, :width]
        others = torch.cat([pictures[:, :1], pictures[:, 2:]], 1)
        shares, residual, errors = torch.split(found, [others.shape[1], 3, 2], 1)
        blend = (shares[:, :, None] * (others - refined[:, None])).sum(1)
        errors = TYPICAL_LOG_ERROR + errors
        return RefinedView(
            image=refined + blend + residual,
            log_error=errors[:, 0],
            render_log_error=errors[:, 1],
        )

    def _on_cpu(self, features: Features) -> RefinedView:
        """The same without gradients, and with no copies on the way."""
        pictures = features.pictures.permute(0, 1, 3, 4, 2).contiguous()
        views, count, height, width, _ = pictures.shape
        channels = (3 * count + features.valid.shape[1] + features.maps.shape[1]) * FOLD**2
        rows, columns = (-(-extent // self.stride) * self.stride for extent in (height, width))
        planes = pictures.new_empty((views, rows // FOLD, columns // FOLD, channels))
        run(
            fold,
            pictures,
            features.valid,
            features.maps,
            DIFFERENCE_SCALE,
            FOLD,
            planes,
        )
        found = self._trunk(planes.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        image = pictures.new_empty((views, height, width, 3))
        log_error, render_log_error = image.new_empty((2, views, height, width))
        run(
            unfold,
            found,
            pictures,
            TYPICAL_LOG_ERROR,
            FOLD,
            image,
            log_error,
            render_log_error,
        )
        return RefinedView(
            image=image.permute(0, 3, 1, 2),
            log_error=log_error,
            render_log_error=render_log_error,
        )

    def _trunk(self, planes: Tensor) -> Tensor:
        x = self.stem(planes)
        kept = []
        for level, down in enumerate(self.down):
            x = down(x)
            if level < len(self.shrink):
                kept.append(x)
                x = self.shrink[level](x)
        for level in reversed(range(len(self.up))):
            if level < len(self.grow):
                x = interpolate(self.grow[level](x), scale_factor=2, mode="nearest")
                x = x.add_(kept.pop())
            x = self.up[level](x)
        head: Tensor = self.head(x.relu_())
        return head


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(width) for _ in range(count)))
