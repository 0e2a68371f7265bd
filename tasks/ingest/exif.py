"""What a camera noted about a photo: orientation, focal length, position, identity."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

Gps = tuple[float, float, float | None]
"""Latitude and longitude in degrees (north and east positive, WGS 84), altitude in metres."""

DIAGONAL_35MM = math.hypot(36.0, 24.0)
"""Diagonal of the 35 mm frame, millimetres."""

UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}
"""FocalPlaneResolutionUnit: inch, centimetre, and the widespread additions mm and um."""

PLAUSIBLE_FOCAL = (0.2, 10.0)
"""Focal length over the longest edge: fields of view from 136 to 5.7 degrees along it."""

PLAUSIBLE_SENSOR_EDGE_MM = (3.0, 80.0)
"""From the smallest phone's to more than medium format; outside, a photo was reduced without its
tags."""

PLAUSIBLE_ALTITUDE_M = (-12_000.0, 100_000.0)
"""From the bottom of the sea to space."""

TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns stored pixels upright, by orientation tag (Exif 2.32, 4.6.4 A); absent: nothing."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""Orientations that exchange width and height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exif:
    """The tags we use; what is absent or makes no sense is empty or None."""

    orientation: int = 1
    make: str = ""
    model: str = ""
    lens: str = ""
    focal_mm: float | None = None
    focal_35mm: float | None = None
    """The focal length that gives the same diagonal field of view on a 35 mm frame, millimetres."""
    sensor_edge_mm: float | None = None
    """Longest edge of the part of the sensor that the photo shows."""
    gps: Gps | None = None


def read_exif(image: Image.Image, stored_size: tuple[int, int] | None = None) -> Exif:
    """Read the tags of a decoded image; broken ones count as absent, for photos live without.

    The image is decoded first because some formats keep their tags behind the pixels, and because
    Pillow turns TIFF files upright itself and drops the orientation then.

    Args:
        stored_size: width and height of the photo in the file; None: of the image.
    """
    try:
        exif = image.getexif()
        main: Mapping[int, Any] = dict(exif)
        shot: Mapping[int, Any] = exif.get_ifd(IFD.Exif)
        position: Mapping[int, Any] = exif.get_ifd(IFD.GPSInfo)
    except Exception:  # the parser raises whatever broken bytes lead it to
        return Exif()
    return exif_of_tags(main, shot, position, stored_size or image.size)


def exif_of_tags(
    main: Mapping[int, Any],
    shot: Mapping[int, Any],
    position: Mapping[int, Any],
    stored_size: tuple[int, int],
) -> Exif:
    """The tags we use, of those of an image's main directory, of the shot and of its position.

    Args:
        stored_size: width and height of the pixels as stored.
    """
    orientation = main.get(Base.Orientation)
    return Exif(
        orientation=orientation if orientation in TRANSPOSE else 1,
        make=_text(main.get(Base.Make)),
        model=_text(main.get(Base.Model)),
        lens=_text(shot.get(Base.LensModel)),
        focal_mm=_positive(shot.get(Base.FocalLength)),
        focal_35mm=_positive(shot.get(Base.FocalLengthIn35mmFilm)),
        sensor_edge_mm=_sensor_edge_mm(shot, stored_size),
        gps=_gps(position),
    )


def focal_px(exif: Exif, size: tuple[int, int]) -> float | None:
    """Focal length in pixels of the photo resampled to ``size`` (width, height; either way up).

    By the 35 mm equivalent and the diagonal, as COLMAP 4 does (``infer_camera_from_image``), else
    by the focal length and the extent of the sensor. None where neither is given or plausible.
    """
    longest = max(size)
    candidates = []
    if exif.focal_35mm is not None:
        candidates.append(exif.focal_35mm / DIAGONAL_35MM * math.hypot(*size))
    if exif.focal_mm is not None and exif.sensor_edge_mm is not None:
        candidates.append(exif.focal_mm / exif.sensor_edge_mm * longest)
    low, high = PLAUSIBLE_FOCAL
    return next((focal for focal in candidates if low <= focal / longest <= high), None)


def camera_name(exif: Exif, size: tuple[int, int]) -> str:
    """Equal for photos that may share intrinsics: one camera, one lens setting, one upright size.

    ``make|model|lens|focal mm|35 mm equivalent|WxH``; fields that EXIF lacks are empty.
    """
    focal, focal_35mm = (
        "" if value is None else f"{value:g}" for value in (exif.focal_mm, exif.focal_35mm)
    )
    return f"{exif.make}|{exif.model}|{exif.lens}|{focal}|{focal_35mm}|{size[0]}x{size[1]}"


def _sensor_edge_mm(shot: Mapping[int, Any], stored_size: tuple[int, int]) -> float | None:
    """Pixels over pixels per millimetre, both of the photo as taken, where the tags give them.

    Longest edges, so that it does not matter whether somebody turned the pixels.
    """
    per_unit = _positive(shot.get(Base.FocalPlaneXResolution))
    unit = shot.get(Base.FocalPlaneResolutionUnit, 2)
    if per_unit is None or unit not in UNIT_MM:
        return None
    taken = [_positive(shot.get(tag)) for tag in (Base.ExifImageWidth, Base.ExifImageHeight)]
    longest = max((edge for edge in taken if edge is not None), default=float(max(stored_size)))
    edge_mm = longest / per_unit * UNIT_MM[unit]
    low, high = PLAUSIBLE_SENSOR_EDGE_MM
    return edge_mm if low <= edge_mm <= high else None


def _gps(position: Mapping[int, Any]) -> Gps | None:
    latitude = _degrees(position, GPS.GPSLatitude, GPS.GPSLatitudeRef, "NS", 90.0)
    longitude = _degrees(position, GPS.GPSLongitude, GPS.GPSLongitudeRef, "EW", 180.0)
    if latitude is None or longitude is None or (latitude, longitude) == (0.0, 0.0):
        return None  # zeros are what receivers without a fix write
    altitude = _number(position.get(GPS.GPSAltitude))
    if altitude is not None and position.get(GPS.GPSAltitudeRef) in (1, 3, b"\x01", b"\x03"):
        altitude = -altitude
    lowest, highest = PLAUSIBLE_ALTITUDE_M
    if altitude is not None and not lowest <= altitude <= highest:
        altitude = None
    return latitude, longitude, altitude


def _degrees(
    position: Mapping[int, Any], tag: int, hemisphere_tag: int, signs: str, limit: float
) -> float | None:
    """Degrees, minutes and seconds with their hemisphere; without it the sign is unknown."""
    hemisphere = _text(position.get(hemisphere_tag)).upper()
    parts = position.get(tag)
    if len(hemisphere) != 1 or hemisphere not in signs or not isinstance(parts, tuple):
        return None
    numbers = [number for part in parts if (number := _number(part)) is not None]
    if not 0 < len(parts) == len(numbers) <= 3 or not all(0 <= n <= 60 for n in numbers[1:]):
        return None
    degrees = sum(n / 60.0**i for i, n in enumerate(numbers))
    if not 0.0 <= degrees <= limit:
        return None
    return degrees if hemisphere == signs[0] else -degrees


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return " ".join(value.replace("\0", " ").split()) if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):  # a ratio by zero, more than a float holds
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None
