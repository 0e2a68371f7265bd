"""GPS positions as metres in a local frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from tasks.ingest.exif import Gps

SEMI_MAJOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY_2 = FLATTENING * (2 - FLATTENING)
"""Of the ellipsoid of WGS 84, squared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LocalPositions:
    """Positions about an origin in their midst: x to the east, y to the north, z up."""

    positions_m: Float64[np.ndarray, "n 3"]
    """NaN where unknown; the height alone where that is unknown alone."""
    origin: Gps
    """WGS 84; without a height, heights count as equal to it."""


def local_positions(gps: Sequence[Gps | None]) -> LocalPositions | None:
    """Positions about their median, in the plane that touches the ellipsoid there.

    Heights are taken as given: EXIF means sea level, which differs from the ellipsoid by a
    constant within a scene.

    Returns:
        None where all are unknown.

    Source: NIMA TR8350.2, WGS 84; rotation from geocentric to local axes as in Hofmann-Wellenhof,
    Lichtenegger and Wasle, GNSS, 2008, sec. 8.2.2.
    """
    known = [one for one in gps if one is not None]
    if not known:
        return None
    table = np.array(
        [
            (np.nan,) * 3 if one is None else (*one[:2], np.nan if one[2] is None else one[2])
            for one in gps
        ],
        dtype=np.float64,
    )
    first = known[0][1]
    table[:, 1] = first + (table[:, 1] - first + 180.0) % 360.0 - 180.0  # the date line is no gap
    heights = table[np.isfinite(table[:, 2]), 2]
    height = float(np.median(heights)) if len(heights) else 0.0
    latitude, longitude = (float(np.nanmedian(table[:, axis])) for axis in (0, 1))
    filled = np.c_[table[:, :2], np.where(np.isnan(table[:, 2]), height, table[:, 2])]
    origin = np.array([[latitude, longitude, height]])
    positions = (geocentric(filled) - geocentric(origin)) @ _axes(latitude, longitude).T
    positions[np.isnan(table[:, 2]), 2] = np.nan
    turns = (longitude + 180.0) % 360.0 - 180.0
    return LocalPositions(
        positions_m=positions, origin=(latitude, turns, height if len(heights) else None)
    )


def geocentric(geodetic: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    """Earth-centred, earth-fixed positions, metres, of latitude and longitude in degrees and
    height above the ellipsoid in metres."""
    latitude, longitude = np.radians(geodetic[:, 0]), np.radians(geodetic[:, 1])
    height = geodetic[:, 2]
    across = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY_2 * np.sin(latitude) ** 2)
    flat = (across + height) * np.cos(latitude)
    return np.stack(
        [
            flat * np.cos(longitude),
            flat * np.sin(longitude),
            ((1 - ECCENTRICITY_2) * across + height) * np.sin(latitude),
        ],
        axis=1,
    )


def _axes(latitude: float, longitude: float) -> Float64[np.ndarray, "3 3"]:
    """Rows: east, north and up at a place, degrees, in geocentric axes."""
    sin_lat, cos_lat = np.sin(np.radians(latitude)), np.cos(np.radians(latitude))
    sin_lon, cos_lon = np.sin(np.radians(longitude)), np.cos(np.radians(longitude))
    return np.array(
        [
            [-sin_lon, cos_lon, 0.0],
            [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
            [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
        ]
    )
