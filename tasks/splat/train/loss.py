"""The photometric loss of splatting: L1 and D-SSIM, fused into two passes over the image.

``(1 - w) mean|x - y| + w (1 - mean SSIM(x, y))`` (Kerbl et al., ACM TOG 42(4), 2023, eq. 7), with
the structural similarity of Wang et al. (IEEE TIP 13(4), 2004, eq. 13) for a Gaussian window of 11
pixels, sigma 1.5, zeros beyond the border, each channel by itself. With local means E[.],

    SSIM = A B / (C D),    A = 2 E[x] E[y] + c1,    B = 2 (E[xy] - E[x] E[y]) + c2,
    C = E[x]^2 + E[y]^2 + c1,    D = E[x^2] - E[x]^2 + E[y^2] - E[y]^2 + c2.

It depends on x through E[x], E[x^2] and E[xy], and the window is symmetric, so the gradient is

    W * dE[x] + 2 x (W * dE[x^2]) + y (W * dE[xy])

where ``W *`` is the same windowed mean and ``d`` the derivative by each of the three. What belongs
to the photo alone is worked out once, in :func:`prepare_target`.

A photo may have a weight for each pixel, by which its |x - y| and its 1 - SSIM count. Where the
weight is 0 both images are taken to be 0, as they are beyond the border: what lies there changes
nothing, not through the windows of its neighbours either.

On the CPU numba kernels do this, many times faster than torch's convolutions.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32
from numba import float32, prange
from torch import Tensor

from tasks.runtime.jit import inlined, parallel_kernel

_WINDOW = 11
_RADIUS = _WINDOW // 2
_SIGMA = 1.5


def _window_weights() -> Float32[np.ndarray, "11"]:
    weights = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * _SIGMA**2))
    return (weights / weights.sum()).astype(np.float32)


_WEIGHTS = _window_weights()
_W0, _W1, _W2, _W3, _W4, _W5 = _WEIGHTS[: _RADIUS + 1]  # the other half mirrors it
_C1 = np.float32(0.01**2)
_C2 = np.float32(0.03**2)
_CHANNELS = 3
_PAD = _RADIUS * _CHANNELS  # floats; pixels of a row are interleaved RGB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedTarget:
    """A photo with its windowed means; see :func:`prepare_target`."""

    image: Float32[Tensor, "h w 3"]
    """0 where the weight is 0."""
    local_mean: Float32[Tensor, "h w 3"]
    local_mean_square: Float32[Tensor, "h w 3"]
    weight: Float32[Tensor, "h w"] | None


def prepare_target(
    image: Float32[Tensor, "h w 3"], weight: Float32[Tensor, "h w"] | None = None
) -> PreparedTarget:
    """What :func:`photometric_loss` needs of a photo; worth keeping for a whole training.

    Args:
        image: 0..1, on the device where the loss will be taken.
        weight: of each pixel, 0 or more; None stands for 1 everywhere.
    """
    image = image.detach().contiguous()
    if weight is not None:
        weight = weight.detach().contiguous()
        image = image * (weight > 0)[..., None]
    if image.device.type == "cpu":
        local_mean, local_mean_square = torch.empty_like(image), torch.empty_like(image)
        _local_means(image.numpy(), local_mean.numpy(), local_mean_square.numpy())
    else:
        local_mean, local_mean_square = _windowed_means([image, image * image])
    return PreparedTarget(
        image=image, local_mean=local_mean, local_mean_square=local_mean_square, weight=weight
    )


def photometric_loss(
    rendered: Float32[Tensor, "h w 3"], target: PreparedTarget, *, ssim_weight: float
) -> Float32[Tensor, ""]:
    """``(1 - ssim_weight) L1 + ssim_weight (1 - SSIM)``, means over pixels and channels.

    The means are over all pixels, whatever they weigh: a pixel counts as much in a photo that is
    largely masked as in one that is not.

    Args:
        rendered: gets the gradient.
        target: of the same size, on the same device.
        ssim_weight: 0..1; 0.2 in the paper.
    """
    if target.weight is not None:
        rendered = rendered * (target.weight > 0)[..., None]
    if rendered.device.type == "cpu":
        return _FusedLoss.apply(  # type: ignore[no-untyped-call]
            rendered.contiguous(), target, ssim_weight
        )
    return _loss_by_convolution(rendered, target, ssim_weight)


def _loss_by_convolution(
    rendered: Float[Tensor, "h w 3"], target: PreparedTarget, ssim_weight: float
) -> Float[Tensor, ""]:
    """The loss in torch operations, for any device."""
    x, y = rendered, target.image
    mean_x, mean_xx, mean_xy = _windowed_means([x, x * x, x * y])
    mean_y, mean_yy = target.local_mean, target.local_mean_square
    luminance = (2 * mean_x * mean_y + _C1.item()) / (mean_x**2 + mean_y**2 + _C1.item())
    structure = (2 * (mean_xy - mean_x * mean_y) + _C2.item()) / (
        mean_xx - mean_x**2 + mean_yy - mean_y**2 + _C2.item()
    )
    dissimilarity = (1 - ssim_weight) * (x - y).abs() + ssim_weight * (1 - luminance * structure)
    if target.weight is not None:
        dissimilarity = dissimilarity * target.weight[..., None]
    return dissimilarity.mean()


def _windowed_means(images: list[Float[Tensor, "h w 3"]]) -> list[Float[Tensor, "h w 3"]]:
    stack = torch.cat(images, dim=2).permute(2, 0, 1)[:, None]
    weights = torch.from_numpy(_WEIGHTS).to(stack)
    down = torch.nn.functional.conv2d(stack, weights[None, None, :, None], padding=(_RADIUS, 0))
    means = torch.nn.functional.conv2d(down, weights[None, None, None, :], padding=(0, _RADIUS))
    return list(torch.split(means[:, 0].permute(1, 2, 0), _CHANNELS, dim=2))


class _FusedLoss(torch.autograd.Function):
    """The loss by the kernels below."""

    @staticmethod
    def forward(ctx: Any, rendered: Tensor, target: PreparedTarget, ssim_weight: float) -> Tensor:
        height, width, _ = rendered.shape
        derivatives = np.empty((3, height, width, _CHANNELS), np.float32)
        row_ssim = np.empty(height, np.float32)
        row_l1 = np.empty(height, np.float32)
        weight = None if target.weight is None else target.weight.numpy()
        _compare(
            rendered.detach().numpy(),
            target.image.numpy(),
            target.local_mean.numpy(),
            target.local_mean_square.numpy(),
            weight,
            derivatives[0],
            derivatives[1],
            derivatives[2],
            row_ssim,
            row_l1,
            numba.get_num_threads(),
        )
        ctx.save_for_backward(rendered, target.image)
        ctx.derivatives, ctx.ssim_weight, ctx.weight = derivatives, ssim_weight, weight
        ssim = row_ssim.sum(dtype=np.float64) / rendered.numel()
        l1 = row_l1.sum(dtype=np.float64) / rendered.numel()
        most = 1.0 if weight is None else float(weight.mean(dtype=np.float64))
        return torch.tensor(
            (1 - ssim_weight) * l1 + ssim_weight * (most - ssim), dtype=torch.float32
        )

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        rendered, image = (tensor.detach() for tensor in ctx.saved_tensors)
        by_rendered = torch.empty_like(rendered)
        per_element = grad.item() / rendered.numel()
        _compare_backward(
            rendered.numpy(),
            image.numpy(),
            ctx.weight,
            ctx.derivatives[0],
            ctx.derivatives[1],
            ctx.derivatives[2],
            np.float32(per_element * (1 - ctx.ssim_weight)),
            np.float32(-per_element * ctx.ssim_weight),
            by_rendered.numpy(),
            numba.get_num_threads(),
        )
        return by_rendered, None, None


@inlined
def _mean_along(
    padded: Float32[np.ndarray, " padded_row"], means: Float32[np.ndarray, " row"], floats: int
) -> None:
    """Windowed means along a row of interleaved RGB that has ``_PAD`` zeros at either end."""
    for i in range(floats):
        means[i] = (
            _W5 * padded[i + 15]
            + _W4 * (padded[i + 12] + padded[i + 18])
            + _W3 * (padded[i + 9] + padded[i + 21])
            + _W2 * (padded[i + 6] + padded[i + 24])
            + _W1 * (padded[i + 3] + padded[i + 27])
            + _W0 * (padded[i] + padded[i + 30])
        )


@parallel_kernel
def _local_means(
    image: Float32[np.ndarray, "h w 3"],
    local_mean: Float32[np.ndarray, "h w 3"],
    local_mean_square: Float32[np.ndarray, "h w 3"],
) -> None:
    height, width, _ = image.shape
    floats = width * _CHANNELS
    y = image.reshape(height, floats)
    mean_y = local_mean.reshape(height, floats)
    mean_yy = local_mean_square.reshape(height, floats)
    for row in prange(height):
        down_y = np.zeros(floats + 2 * _PAD, np.float32)
        down_yy = np.zeros(floats + 2 * _PAD, np.float32)
        for tap in range(_WINDOW):
            source = row + tap - _RADIUS
            if source < 0 or source >= height:
                continue
            weight = _WEIGHTS[tap]
            for i in range(floats):
                value = y[source, i]
                down_y[i + _PAD] += weight * value
                down_yy[i + _PAD] += weight * value * value
        _mean_along(down_y, mean_y[row], floats)
        _mean_along(down_yy, mean_yy[row], floats)


@parallel_kernel
def _compare(
    rendered: Float32[np.ndarray, "h w 3"],
    image: Float32[np.ndarray, "h w 3"],
    local_mean: Float32[np.ndarray, "h w 3"],
    local_mean_square: Float32[np.ndarray, "h w 3"],
    weight: Float32[np.ndarray, "h w"] | None,
    by_mean: Float32[np.ndarray, "h w 3"],
    by_mean_square: Float32[np.ndarray, "h w 3"],
    by_mean_product: Float32[np.ndarray, "h w 3"],
    row_ssim: Float32[np.ndarray, " h"],
    row_l1: Float32[np.ndarray, " h"],
    threads: int,
) -> None:
    """Sums of SSIM and of |x - y| over each row, and SSIM's derivatives by E[x], E[x^2], E[xy];
    each pixel by its weight."""
    height, width, _ = rendered.shape
    floats = width * _CHANNELS
    x = rendered.reshape(height, floats)
    y = image.reshape(height, floats)
    all_mean_y = local_mean.reshape(height, floats)
    all_mean_yy = local_mean_square.reshape(height, floats)
    all_by_mean = by_mean.reshape(height, floats)
    all_by_mean_square = by_mean_square.reshape(height, floats)
    all_by_mean_product = by_mean_product.reshape(height, floats)
    two = float32(2)
    for thread in prange(threads):
        down_x = np.zeros(floats + 2 * _PAD, np.float32)
        down_xx = np.zeros(floats + 2 * _PAD, np.float32)
        down_xy = np.zeros(floats + 2 * _PAD, np.float32)
        means_x = np.empty(floats, np.float32)
        means_xx = np.empty(floats, np.float32)
        means_xy = np.empty(floats, np.float32)
        for row in range(height * thread // threads, height * (thread + 1) // threads):
            down_x[_PAD : _PAD + floats] = float32(0)
            down_xx[_PAD : _PAD + floats] = float32(0)
            down_xy[_PAD : _PAD + floats] = float32(0)
            for tap in range(_WINDOW):
                source = row + tap - _RADIUS
                if source < 0 or source >= height:
                    continue
                tap_weight = _WEIGHTS[tap]
                for i in range(floats):
                    value = x[source, i]
                    weighted = tap_weight * value
                    down_x[i + _PAD] += weighted
                    down_xx[i + _PAD] += weighted * value
                    down_xy[i + _PAD] += weighted * y[source, i]
            _mean_along(down_x, means_x, floats)
            _mean_along(down_xx, means_xx, floats)
            _mean_along(down_xy, means_xy, floats)
            sum_ssim = float32(0)
            sum_l1 = float32(0)
            for i in range(floats):
                mean_x = means_x[i]
                mean_y = all_mean_y[row, i]
                a = two * mean_x * mean_y + _C1
                b = two * (means_xy[i] - mean_x * mean_y) + _C2
                c = mean_x * mean_x + mean_y * mean_y + _C1
                d = means_xx[i] - mean_x * mean_x + all_mean_yy[row, i] - mean_y * mean_y + _C2
                inverse_cd = float32(1) / (c * d)
                ssim = a * b * inverse_cd
                if weight is not None:
                    w = weight[row, i // _CHANNELS]
                    sum_ssim += w * ssim
                    sum_l1 += w * abs(x[row, i] - y[row, i])
                else:
                    sum_ssim += ssim
                    sum_l1 += abs(x[row, i] - y[row, i])
                by_product = two * a * inverse_cd
                by_square = -ssim / d
                all_by_mean_product[row, i] = by_product
                all_by_mean_square[row, i] = by_square
                # Through A and C, then through B and D, which subtract E[x] E[y] and E[x]^2.
                all_by_mean[row, i] = (
                    two * mean_y * b * inverse_cd
                    - two * mean_x * ssim / c
                    - mean_y * by_product
                    - two * mean_x * by_square
                )
                if weight is not None:
                    all_by_mean_product[row, i] *= w
                    all_by_mean_square[row, i] *= w
                    all_by_mean[row, i] *= w
            row_ssim[row] = sum_ssim
            row_l1[row] = sum_l1


@parallel_kernel
def _compare_backward(
    rendered: Float32[np.ndarray, "h w 3"],
    image: Float32[np.ndarray, "h w 3"],
    weight: Float32[np.ndarray, "h w"] | None,
    by_mean: Float32[np.ndarray, "h w 3"],
    by_mean_square: Float32[np.ndarray, "h w 3"],
    by_mean_product: Float32[np.ndarray, "h w 3"],
    l1_factor: np.float32,
    ssim_factor: np.float32,
    by_rendered: Float32[np.ndarray, "h w 3"],
    threads: int,
) -> None:
    """Write ``l1_factor`` times the gradient of sum w|x - y| plus ``ssim_factor`` times SSIM's,
    whose derivatives have the weights in them already."""
    height, width, _ = rendered.shape
    floats = width * _CHANNELS
    x = rendered.reshape(height, floats)
    y = image.reshape(height, floats)
    all_by_mean = by_mean.reshape(height, floats)
    all_by_mean_square = by_mean_square.reshape(height, floats)
    all_by_mean_product = by_mean_product.reshape(height, floats)
    gradient = by_rendered.reshape(height, floats)
    one = float32(1)
    for thread in prange(threads):
        down_mean = np.zeros(floats + 2 * _PAD, np.float32)
        down_square = np.zeros(floats + 2 * _PAD, np.float32)
        down_product = np.zeros(floats + 2 * _PAD, np.float32)
        means = np.empty(floats, np.float32)
        squares = np.empty(floats, np.float32)
        products = np.empty(floats, np.float32)
        for row in range(height * thread // threads, height * (thread + 1) // threads):
            down_mean[_PAD : _PAD + floats] = float32(0)
            down_square[_PAD : _PAD + floats] = float32(0)
            down_product[_PAD : _PAD + floats] = float32(0)
            for tap in range(_WINDOW):
                source = row + tap - _RADIUS
                if source < 0 or source >= height:
                    continue
                tap_weight = _WEIGHTS[tap]
                for i in range(floats):
                    down_mean[i + _PAD] += tap_weight * all_by_mean[source, i]
                    down_square[i + _PAD] += tap_weight * all_by_mean_square[source, i]
                    down_product[i + _PAD] += tap_weight * all_by_mean_product[source, i]
            _mean_along(down_mean, means, floats)
            _mean_along(down_square, squares, floats)
            _mean_along(down_product, products, floats)
            for i in range(floats):
                difference = x[row, i] - y[row, i]
                sign = one if difference > 0 else (-one if difference < 0 else float32(0))
                if weight is not None:
                    sign *= weight[row, i // _CHANNELS]
                gradient[row, i] = l1_factor * sign + ssim_factor * (
                    means[i] + float32(2) * x[row, i] * squares[i] + y[row, i] * products[i]
                )
