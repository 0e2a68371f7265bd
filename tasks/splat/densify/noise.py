"""Noise on the means, with which nearly transparent Gaussians explore."""

import math

import numpy as np
from jaxtyping import Float32
from numba import float32, prange

from tasks.runtime.jit import parallel_kernel


@parallel_kernel
def add_noise(
    means: Float32[np.ndarray, "n 3"],
    quats: Float32[np.ndarray, "n 4"],
    log_scales: Float32[np.ndarray, "n 3"],
    logit_opacities: Float32[np.ndarray, " n"],
    normal: Float32[np.ndarray, "n 3"],
    size: np.float32,
) -> None:
    """Move each mean, in place, by ``size * gate * covariance @ normal``.

    The gate ``sigmoid(100 (0.005 - opacity))`` is 1/2 at the opacity of dead Gaussians and below
    1e-4 from 0.1 on.

    Args:
        means: world units.
        quats: wxyz, need not be normalised.
        log_scales: natural logarithm of standard deviations, world units.
        normal: standard normal numbers.
        size: in 1 / world units.

    Source: Kheradmand et al., NeurIPS 2024, equation 8, with k = 100 and t = 0.995.
    """
    for i in prange(means.shape[0]):
        opacity = float32(1) / (float32(1) + math.exp(-logit_opacities[i]))
        gate = float32(1) / (float32(1) + math.exp(float32(100) * (opacity - float32(0.005))))
        w, x, y, z = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
        two = float32(2) / (w * w + x * x + y * y + z * z)
        xx, xy, xz = (
            float32(1) - two * (y * y + z * z),
            two * (x * y - w * z),
            two * (x * z + w * y),
        )
        yx, yy, yz = (
            two * (x * y + w * z),
            float32(1) - two * (x * x + z * z),
            two * (y * z - w * x),
        )
        zx, zy, zz = (
            two * (x * z - w * y),
            two * (y * z + w * x),
            float32(1) - two * (x * x + y * y),
        )
        a, b, c = normal[i, 0], normal[i, 1], normal[i, 2]
        u = math.exp(float32(2) * log_scales[i, 0]) * (xx * a + yx * b + zx * c)
        v = math.exp(float32(2) * log_scales[i, 1]) * (xy * a + yy * b + zy * c)
        t = math.exp(float32(2) * log_scales[i, 2]) * (xz * a + yz * b + zz * c)
        means[i, 0] += size * gate * (xx * u + xy * v + xz * t)
        means[i, 1] += size * gate * (yx * u + yy * v + yz * t)
        means[i, 2] += size * gate * (zx * u + zy * v + zz * t)
