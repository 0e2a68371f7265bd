"""Camera effects on photos: drift of exposure and white balance, blur, noise, compression."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8
from scipy.ndimage import gaussian_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoEffects:
    """Camera effects on one photo."""

    exposure_ev: float
    """Exposure compensation in stops; +1 doubles the light."""
    white_balance: tuple[float, float, float]
    """Gains of red, green and blue, in linear light."""
    blur_px: float
    """Standard deviation of a Gaussian blur, in linear light."""
    shot_noise: float
    """Variance per unit of linear light."""
    read_noise: float
    """Standard deviation in linear light, independent of the signal."""
    jpeg_quality: int
    noise_seed: int


def draw_effects(seed: int, count: int) -> tuple[PhotoEffects, ...]:
    """Random effects for the photos of one scene, taken in order with one camera.

    Exposure and white balance drift from photo to photo, at a rate drawn per camera. Noise and JPEG
    quality are the camera's; the blur varies from photo to photo.
    """
    rng = np.random.default_rng([seed, 7])
    exposure_step = float(rng.uniform(0.0, 0.12))
    balance_step = float(rng.uniform(0.0, 0.02))
    softness = float(rng.uniform(0.0, 0.6))
    shot = float(np.exp(rng.uniform(np.log(1e-5), np.log(8e-4))))
    read = float(rng.uniform(0.0, 0.003))
    quality = int(rng.integers(80, 97))
    exposure, balance = np.zeros(1), np.zeros(3)
    found = []
    for _ in range(count):
        exposure = 0.8 * exposure + rng.normal(0.0, exposure_step, 1)
        balance = 0.8 * balance + rng.normal(0.0, balance_step, 3) * [1.0, 0.3, 1.0]
        red, green, blue = np.exp(balance).tolist()
        found.append(
            PhotoEffects(
                exposure_ev=float(exposure[0]),
                white_balance=(red, green, blue),
                blur_px=softness * float(rng.uniform(0.6, 1.4)),
                shot_noise=shot,
                read_noise=read,
                jpeg_quality=quality,
                noise_seed=int(rng.integers(1 << 31)),
            )
        )
    return tuple(found)


def exposed(rgb: UInt8[np.ndarray, "h w 3"], effects: PhotoEffects) -> UInt8[np.ndarray, "h w 3"]:
    """Photo with the effects applied, except compression.

    In the order of a camera: gains, lens blur, sensor noise, then clipping and sRGB.
    """
    light = _linear(rgb / 255.0) * (2.0**effects.exposure_ev * np.array(effects.white_balance))
    if effects.blur_px > 0.0:
        light = gaussian_filter(light, (effects.blur_px, effects.blur_px, 0.0), mode="nearest")
    if effects.shot_noise > 0.0 or effects.read_noise > 0.0:
        rng = np.random.default_rng(effects.noise_seed)
        sigma = np.sqrt(effects.shot_noise * light + effects.read_noise**2)
        light = light + sigma * rng.standard_normal(light.shape)
    return np.rint(255.0 * _encoded(np.clip(light, 0.0, 1.0))).astype(np.uint8)


def _linear(encoded: Float64[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "h w 3"]:
    """sRGB to linear light, both 0..1 (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Float64[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "h w 3"]:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
