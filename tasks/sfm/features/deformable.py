"""Deformable convolution, version 1: each tap of the kernel looks where the offsets send it.

    y(p) = sum_k w_k x(p + p_k + dp_k(p)),

bilinear between pixels, zero outside the image; one group of offsets, stride 1.

Source: Dai et al., Deformable Convolutional Networks, ICCV 2017, eqs. 2 and 3.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def deformable_convolution(
    image: Float[Tensor, "b c h w"],
    offsets: Float[Tensor, "b kk2 h w"],
    weight: Float[Tensor, "d c k k"],
) -> Float[Tensor, "b d h w"]:
    """Deformable convolution whose output has the size of the image; k is odd.

    Args:
        offsets: of the taps in rows from the upper left, each down, then to the right, px.
    """
    batch, channels, height, width = image.shape
    side = weight.shape[-1]
    taps, radius = side * side, side // 2
    across = torch.arange(side, device=image.device, dtype=image.dtype) - radius
    tap_y, tap_x = (
        grid.reshape(taps, 1, 1) for grid in torch.meshgrid(across, across, indexing="ij")
    )
    rows = torch.arange(height, device=image.device, dtype=image.dtype)[:, None]
    columns = torch.arange(width, device=image.device, dtype=image.dtype)
    down, right = offsets.view(batch, taps, 2, height, width).unbind(2)
    xy = torch.stack([columns + tap_x + right, rows + tap_y + down], dim=-1)
    seen = sampled(image, xy.view(batch, taps * height, width, 2))
    return torch.einsum(
        "dck,bckhw->bdhw",
        weight.flatten(2),
        seen.view(batch, channels, taps, height, width),
    )


def sampled(
    image: Float[Tensor, "b c h w"], xy: Float[Tensor, "b m n 2"]
) -> Float[Tensor, "b c m n"]:
    """The image, bilinear between pixel centres, which are whole numbers; zero outside."""
    size = xy.new_tensor([image.shape[-1], image.shape[-2]])
    # Of the two scalings that grid_sample knows, the one that works for a single pixel, too.
    return functional.grid_sample(
        image, (2 * xy + 1) / size - 1, mode="bilinear", padding_mode="zeros", align_corners=False
    )
