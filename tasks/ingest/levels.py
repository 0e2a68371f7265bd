"""What is black and what is white in grey photos of more than 8 bits: one answer for a scene.

A file of 16 bits may hold 12 of a sensor, or the temperatures of a thermal camera, which fill a
small part of the range. The photos of a scene get one scale, so that a surface has one brightness
in all of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tasks.ingest.decode import PhotoError, decoded, identified
from tasks.ingest.folder import PhotoFile

SUFFIXES = frozenset({".tif", ".tiff", ".png"})
"""Of the formats that hold such pixels."""

OUTLIERS_PERCENT = (0.1, 99.9)
"""Between them lies what a scene's levels are made of."""

MOST_SAMPLES = 1_000_000
"""Pixels of a photo that its levels are taken from."""

FULL_SCALES = (4095.0, 16_383.0, 65_535.0)
"""White of 12, 14 and 16 bits."""

NARROW_SHARE = 1 / 8
"""Of the full scale: sunlit photos fill most of it, thermal ones a few hundredths."""

FEWEST_STEPS = 64
"""A narrower range is noise."""

UNIT_TOLERANCE = 1e-3
"""By which floats from 0 to 1 may leave that range, as sharpening does."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Values that become 0 and 255, by the kind of pixels: ``I;16``, ``I`` or ``F``."""

    ranges: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {"I;16": (0.0, FULL_SCALES[-1])}
    )

    def of(self, image: Image.Image) -> tuple[float, float] | None:
        """The range of an image's kind; None where it has none."""
        return self.ranges.get(_kind(image.mode))

    def applied(self, image: Image.Image) -> UInt8[np.ndarray, "h w"]:
        """Grey levels of an image whose kind has a range; what is no number is black."""
        low, high = self.ranges[_kind(image.mode)]
        values = np.asarray(image)
        if (low, high) == (0.0, FULL_SCALES[-1]) and values.dtype == np.uint16:
            return ((values.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)
        finite = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
        scaled = (finite - low) * (255.0 / (high - low))
        return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)

    def remarks(self) -> list[str]:
        """Where the scale is not that of all 16 bits."""
        return [
            f"grey values of {'floating point' if kind == 'F' else 'more than 8 bits'}: {low:g} "
            f"became black and {high:g} white, in all photos"
            for kind, (low, high) in self.ranges.items()
            if (low, high) != (0.0, FULL_SCALES[-1])
        ]


def levels_of(photos: Iterable[PhotoFile], max_pixels: int) -> Levels:
    """The levels of a scene's photos; those that cannot be read are left to their refusal.

    Raises:
        MachineError: the machine failed to read a photo.
    """
    ranges: dict[str, list[tuple[float, float]]] = {}
    for photo in photos:
        if photo.path.suffix.lower() in SUFFIXES:
            found = _range_of(photo.path, photo.name, max_pixels)
            if found is not None:
                ranges.setdefault(found[0], []).append(found[1])
    scales = dict(Levels().ranges)
    for kind, of_photos in ranges.items():
        low, high = min(low for low, _ in of_photos), max(high for _, high in of_photos)
        scales[kind] = _scale_of_floats(low, high) if kind == "F" else _scale(low, high)
    return Levels(scales)


def _kind(mode: str) -> str:
    return "I;16" if mode.startswith("I;16") else mode


def _range_of(path: Path, name: str, max_pixels: int) -> tuple[str, tuple[float, float]] | None:
    try:
        with identified(path, name) as image:
            kind = _kind(image.mode)
        if kind not in ("I;16", "I", "F"):
            return None
        with decoded(path, name, max_pixels) as image:
            values = np.asarray(image).ravel()
    except PhotoError:
        return None
    values = values[:: max(1, values.size // MOST_SAMPLES)].astype(np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return None
    low, high = np.percentile(values, OUTLIERS_PERCENT).tolist()
    return kind, (low, high)


def _scale(low: float, high: float) -> tuple[float, float]:
    full = next((scale for scale in FULL_SCALES if high <= scale), high)
    narrow = FEWEST_STEPS <= high - low < NARROW_SHARE * full
    # Above the range itself: a dark photo begins at black, a thermal one far from it.
    return (low, high) if low < 0 or (narrow and low > high - low) else (0.0, full)


def _scale_of_floats(low: float, high: float) -> tuple[float, float]:
    if low >= -UNIT_TOLERANCE and NARROW_SHARE <= high <= 1.0 + UNIT_TOLERANCE:
        return 0.0, 1.0
    return (low, high) if high > low else (low, low + 1.0)
