"""Affine map of RGB: the effect of a photo's exposure and white balance on the scene's colours."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from numba import prange
from torch import Tensor

from tasks.runtime.jit import parallel_kernel
from tasks.splat.rasterise.cpu.layout import PARTS


def affine_colours(
    rgb: Float32[Tensor, "h w 3"], matrix: Float32[Tensor, "3 4"]
) -> Float32[Tensor, "h w 3"]:
    """Each pixel's ``matrix[:, :3] @ rgb + matrix[:, 3]``; the identity gives the same bits back.

    Args:
        rgb: of any range, on any device; gets a gradient.
        matrix: on the same device; gets a gradient.
    """
    if rgb.device.type == "cpu":
        return _Affine.apply(rgb.contiguous(), matrix.contiguous())  # type: ignore[no-untyped-call]
    return torch.nn.functional.linear(rgb, matrix[:, :3], matrix[:, 3])


class _Affine(torch.autograd.Function):
    """Two passes over the image on the CPU, where torch takes half the time of a loss."""

    @staticmethod
    def forward(ctx: Any, rgb: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(rgb, matrix)
        mapped = torch.empty_like(rgb)
        _map(rgb.detach().numpy(), matrix.detach().numpy(), mapped.numpy())
        return mapped

    @staticmethod
    def backward(ctx: Any, by_mapped: Tensor) -> tuple[Tensor, Tensor]:
        rgb, matrix = (tensor.detach() for tensor in ctx.saved_tensors)
        by_rgb = torch.empty_like(rgb)
        by_matrix = np.zeros((PARTS, 3, 4))
        _map_backward(
            rgb.numpy(), matrix.numpy(), by_mapped.contiguous().numpy(), by_rgb.numpy(), by_matrix
        )
        return by_rgb, torch.from_numpy(by_matrix.sum(0).astype(np.float32))


@parallel_kernel
def _map(
    rgb: Float32[np.ndarray, "h w 3"],
    matrix: Float32[np.ndarray, "3 4"],
    mapped: Float32[np.ndarray, "h w 3"],
) -> None:
    for row in prange(rgb.shape[0]):
        for column in range(rgb.shape[1]):
            r, g, b = rgb[row, column, 0], rgb[row, column, 1], rgb[row, column, 2]
            for c in range(3):
                mapped[row, column, c] = (
                    matrix[c, 0] * r + matrix[c, 1] * g + matrix[c, 2] * b + matrix[c, 3]
                )


@parallel_kernel
def _map_backward(
    rgb: Float32[np.ndarray, "h w 3"],
    matrix: Float32[np.ndarray, "3 4"],
    by_mapped: Float32[np.ndarray, "h w 3"],
    by_rgb: Float32[np.ndarray, "h w 3"],
    by_matrix: Float64[np.ndarray, "parts 3 4"],
) -> None:
    """Adds the sum of each part of the image to its row of ``by_matrix``."""
    height, width, _ = rgb.shape
    parts = by_matrix.shape[0]
    for part in prange(parts):
        for row in range(height * part // parts, height * (part + 1) // parts):
            of_row = np.zeros((3, 4), np.float32)
            for column in range(width):
                r, g, b = rgb[row, column, 0], rgb[row, column, 1], rgb[row, column, 2]
                u, v, w = (
                    by_mapped[row, column, 0],
                    by_mapped[row, column, 1],
                    by_mapped[row, column, 2],
                )
                for c in range(3):
                    by_rgb[row, column, c] = matrix[0, c] * u + matrix[1, c] * v + matrix[2, c] * w
                of_row[0, 0] += u * r
                of_row[0, 1] += u * g
                of_row[0, 2] += u * b
                of_row[0, 3] += u
                of_row[1, 0] += v * r
                of_row[1, 1] += v * g
                of_row[1, 2] += v * b
                of_row[1, 3] += v
                of_row[2, 0] += w * r
                of_row[2, 1] += w * g
                of_row[2, 2] += w * b
                of_row[2, 3] += w
            by_matrix[part] += of_row
