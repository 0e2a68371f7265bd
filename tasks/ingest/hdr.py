"""Frames of high dynamic range as sRGB: phones film in BT.2020 with HLG or PQ.

Shown as they stand, such frames are pale and of another hue. Light up to :data:`KNEE` of the
reference white keeps its brightness; what is brighter is pressed into the rest.

Source: ITU-R BT.2100-2, tables 4 and 5 (PQ, HLG); BT.2408, 2.2 (reference white of 203 cd/m2);
BT.2087 (primaries); IEC 61966-2-1 (sRGB).
"""

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

PQ, HLG = 16, 18
"""Transfer characteristics in H.273."""

WHITE = 203.0
"""Luminance of the reference white, cd/m2."""

HLG_PEAK = 1000.0
"""Nominal peak of an HLG display, cd/m2."""

HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073
HLG_GAMMA = 1.2
PQ_M1, PQ_M2 = 0.1593017578125, 78.84375
PQ_C1, PQ_C2, PQ_C3 = 0.8359375, 18.8515625, 18.6875
PQ_PEAK = 10_000.0

LUMINANCE = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
"""Of the primaries of BT.2020."""

SRGB_FROM_2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    dtype=np.float32,
)
"""Of linear light."""

KNEE = 0.7
"""Of the reference white."""


def tone_mapped(signal: UInt16[np.ndarray, "h w 3"], transfer: int) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of BT.2020 in HLG or PQ, full range, as sRGB."""
    values = signal.astype(np.float32) / np.float32(65_535)
    light = (_pq(values) if transfer == PQ else _hlg(values)) / np.float32(WHITE)
    light = np.maximum(light @ SRGB_FROM_2020.T, 0)
    brightest = light.max(axis=2, keepdims=True)
    excess = np.maximum(brightest - KNEE, 0)
    pressed = np.minimum(brightest, KNEE) + (1 - KNEE) * -np.expm1(-excess / (1 - KNEE))
    light = light * (pressed / np.maximum(brightest, np.float32(1e-6)))
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * np.clip(encoded, 0, 1)).astype(np.uint8)


def _hlg(values: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Light of a display, cd/m2."""
    scene = np.where(
        values <= 0.5, values**2 / 3, (np.exp((values - HLG_C) / HLG_A) + HLG_B) / 12
    ).astype(np.float32)
    luminance = np.maximum(scene @ LUMINANCE, np.float32(1e-9))[..., None]
    return np.asarray(HLG_PEAK * luminance ** (HLG_GAMMA - 1) * scene, dtype=np.float32)


def _pq(values: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Light of a display, cd/m2."""
    root = values.astype(np.float64) ** (1 / PQ_M2)
    light = np.maximum(root - PQ_C1, 0) / (PQ_C2 - PQ_C3 * root)
    return np.asarray(PQ_PEAK * light ** (1 / PQ_M1), dtype=np.float32)
