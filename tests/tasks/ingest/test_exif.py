import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from tasks.ingest.config import IngestConfig
from tasks.ingest.exif import Exif, camera_name, exif_of_tags, focal_px, read_exif
from tasks.ingest.photos import read_photo
from tests.support.real_scenes import scene_folder

Textured = Callable[..., np.ndarray]

STORED_SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
"""Exif 2.32, table of tag 274: the visual side on which the 0th row and the 0th column lie."""


def stored_pixel_of(orientation: int, upright: np.ndarray) -> np.ndarray:
    """What a camera stores of an upright picture: pixel by pixel from the sides of the table."""
    height, width = upright.shape[:2]
    from_side = {
        "top": lambda y, x: y,
        "bottom": lambda y, x: height - 1 - y,
        "left": lambda y, x: x,
        "right": lambda y, x: width - 1 - x,
    }
    row_of, column_of = (from_side[side] for side in STORED_SIDES[orientation])
    shape = (width, height, 3) if orientation >= 5 else (height, width, 3)
    stored = np.zeros(shape, dtype=np.uint8)
    for y in range(height):
        for x in range(width):
            stored[row_of(y, x), column_of(y, x)] = upright[y, x]
    return stored


def corners(width: int = 48, height: int = 32) -> np.ndarray:
    """Red, green, blue, white: top left, top right, bottom left, bottom right."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 255)
    picture[height // 2 :, width // 2 :] = (255, 255, 255)
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("webp", {"lossless": True}),
        ("jpg", {"quality": 100, "subsampling": 0}),
    ],
)
def test_every_exif_orientation_is_applied_once(
    tmp_path: Path, orientation: int, suffix: str, options: dict[str, Any]
) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(stored_pixel_of(orientation, corners())).save(path, exif=exif, **options)

    photo = read_photo(path, path.name, IngestConfig())

    assert photo.source_size == (48, 32)
    np.testing.assert_allclose(photo.pixels.astype(int), corners(), atol=3)


def test_orientation_and_reduction_are_applied_together(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    path = tmp_path / "photo.png"
    Image.fromarray(stored_pixel_of(6, corners(192, 128))).save(path, exif=exif)

    photo = read_photo(path, path.name, IngestConfig(max_size=96))

    assert (photo.source_size, photo.size) == ((192, 128), (96, 64))
    inner = np.ix_((8, 55), (8, 87))  # away from the borders between the colours
    np.testing.assert_array_equal(photo.pixels[inner], corners(96, 64)[inner])


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_outside_the_standard_counts_as_upright(
    tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    Image.fromarray(corners()).save(tmp_path / "photo.png", exif=exif)
    photo = read_photo(tmp_path / "photo.png", "photo.png", IngestConfig())
    np.testing.assert_array_equal(photo.pixels, corners())


def tags(
    path: Path,
    picture: np.ndarray,
    main: dict[int, Any] | None = None,
    shot: dict[int, Any] | None = None,
    position: dict[int, Any] | None = None,
) -> Exif:
    """Write a JPEG with these tags with Pillow and read them back."""
    exif = Image.Exif()
    exif.update(main or {})
    exif.get_ifd(IFD.Exif).update(shot or {})
    exif.get_ifd(IFD.GPSInfo).update(position or {})
    Image.fromarray(picture).save(path, exif=exif)
    with Image.open(path) as image:
        image.load()
        return read_exif(image)


def test_the_35_mm_equivalent_gives_the_diagonal_field_of_view(
    tmp_path: Path, textured: Textured
) -> None:
    exif = tags(tmp_path / "a.jpg", textured(300, 200), shot={Base.FocalLengthIn35mmFilm: 50})

    focal = focal_px(exif, (300, 200))

    assert focal is not None
    half_angle_px = math.atan(math.hypot(150, 100) / focal)
    assert half_angle_px == pytest.approx(math.atan(math.hypot(18, 12) / 50), rel=1e-12)
    assert focal_px(exif, (200, 300)) == focal
    assert focal_px(exif, (150, 100)) == pytest.approx(focal / 2)


@pytest.mark.parametrize(
    ("per_unit", "unit"), [(6000 / 36 * 25.4, 2), (6000 / 36 * 10, 3), (6000 / 36, 4)]
)
def test_focal_length_and_sensor_resolution_give_pixels(
    tmp_path: Path, textured: Textured, per_unit: float, unit: int
) -> None:
    # 24 mm on a 36 mm wide sensor of 6000 pixels; the file holds 300 of them.
    shot = {
        Base.FocalLength: 24.0,
        Base.FocalPlaneXResolution: per_unit,
        Base.FocalPlaneResolutionUnit: unit,
        Base.ExifImageWidth: 6000,
        Base.ExifImageHeight: 4000,
    }
    exif = tags(tmp_path / "a.jpg", textured(300, 200), shot=shot)
    assert focal_px(exif, (300, 200)) == pytest.approx(24 / 36 * 300, rel=1e-4)
    turned = tags(tmp_path / "b.jpg", textured(200, 300), shot=shot)
    assert focal_px(turned, (200, 300)) == pytest.approx(24 / 36 * 300, rel=1e-4)


@pytest.mark.parametrize(
    "shot",
    [
        {},
        {Base.FocalLength: 24.0},
        {Base.FocalLengthIn35mmFilm: 0},
        {Base.FocalLengthIn35mmFilm: 2},
        {Base.FocalLengthIn35mmFilm: 60_000},
        {Base.FocalLength: 0.0, Base.FocalPlaneXResolution: 100.0},
        {Base.FocalLength: 24.0, Base.FocalPlaneXResolution: 100.0},  # a sensor of 127 mm
        {
            Base.FocalLength: 24.0,
            Base.FocalPlaneXResolution: 5000.0,
            Base.FocalPlaneResolutionUnit: 9,
        },
    ],
)
def test_missing_and_implausible_focal_lengths_are_ignored(
    tmp_path: Path, textured: Textured, shot: dict[int, Any]
) -> None:
    exif = tags(tmp_path / "a.jpg", textured(500, 200), shot=shot)
    assert focal_px(exif, (500, 200)) is None


def test_an_implausible_35_mm_equivalent_falls_back_to_the_sensor_resolution() -> None:
    exif = Exif(focal_35mm=9000.0, focal_mm=24.0, sensor_edge_mm=36.0)
    assert focal_px(exif, (300, 200)) == pytest.approx(200.0)


@given(
    latitude=st.floats(0.001, 89.9),
    longitude=st.floats(0.001, 179.9),
    south=st.booleans(),
    west=st.booleans(),
    altitude=st.none() | st.floats(-400, 8000),
)
def test_gps_round_trips_through_a_file(
    tmp_path_factory: pytest.TempPathFactory,
    latitude: float,
    longitude: float,
    south: bool,
    west: bool,
    altitude: float | None,
) -> None:
    def sexagesimal(degrees: float) -> tuple[float, float, float]:
        minutes = degrees % 1 * 60
        return float(int(degrees)), float(int(minutes)), minutes % 1 * 60

    position: dict[int, Any] = {
        GPS.GPSLatitude: sexagesimal(latitude),
        GPS.GPSLatitudeRef: "S" if south else "N",
        GPS.GPSLongitude: sexagesimal(longitude),
        GPS.GPSLongitudeRef: "W" if west else "E",
    }
    if altitude is not None:
        position[GPS.GPSAltitude] = abs(altitude)
        position[GPS.GPSAltitudeRef] = b"\x01" if altitude < 0 else b"\x00"
    folder = tmp_path_factory.mktemp("gps")

    gps = tags(folder / "a.jpg", np.zeros((8, 8, 3), np.uint8), position=position).gps

    assert gps is not None
    assert gps[0] == pytest.approx(-latitude if south else latitude, abs=1e-5)
    assert gps[1] == pytest.approx(-longitude if west else longitude, abs=1e-5)
    assert gps[2] == (None if altitude is None else pytest.approx(altitude, abs=0.01))


NORTH_EAST: dict[int, Any] = {
    GPS.GPSLatitude: (46.0, 30.0, 0.0),
    GPS.GPSLatitudeRef: "N",
    GPS.GPSLongitude: (7.0, 0.0, 0.0),
    GPS.GPSLongitudeRef: "E",
}


@pytest.mark.parametrize(
    "change",
    [
        {GPS.GPSLatitudeRef: ""},
        {GPS.GPSLatitudeRef: "X"},
        {GPS.GPSLatitude: (146.0, 0.0, 0.0)},
        {
            GPS.GPSLatitude: (0.0, 0.0, 0.0),
            GPS.GPSLongitude: (0.0, 0.0, 0.0),
        },
    ],
)
def test_an_invalid_gps_position_is_ignored(
    tmp_path: Path, textured: Textured, change: dict[int, Any]
) -> None:
    exif = tags(tmp_path / "a.jpg", textured(32, 32), position=NORTH_EAST | change)
    assert exif.gps is None


def repr_start(value: Any) -> str:
    return repr(value)[:20]


ODD_VALUES = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.fractions(),
    st.builds(IFDRational, st.integers(-(2**31), 2**31), st.integers(-3, 3)),
)
ODD_TAGS = st.one_of(ODD_VALUES, st.lists(ODD_VALUES, max_size=300).map(tuple))


@given(
    main=st.dictionaries(st.sampled_from([Base.Orientation, Base.Make, Base.Model]), ODD_TAGS),
    shot=st.dictionaries(
        st.sampled_from(
            [
                Base.LensModel,
                Base.FocalLength,
                Base.FocalLengthIn35mmFilm,
                Base.FocalPlaneXResolution,
                Base.FocalPlaneResolutionUnit,
                Base.ExifImageWidth,
            ]
        ),
        ODD_TAGS,
    ),
    position=st.dictionaries(
        st.sampled_from(
            [
                GPS.GPSLatitude,
                GPS.GPSLongitude,
                GPS.GPSAltitude,
                GPS.GPSAltitudeRef,
                GPS.GPSLatitudeRef,
            ]
        ),
        ODD_TAGS,
    ),
    hemispheres=st.booleans(),
)
def test_no_tag_crashes_and_no_position_is_off_the_earth(
    main: dict[int, Any], shot: dict[int, Any], position: dict[int, Any], hemispheres: bool
) -> None:
    if hemispheres:
        position = position | {GPS.GPSLatitudeRef: "N", GPS.GPSLongitudeRef: "W"}

    exif = exif_of_tags(main, shot, position, (300, 200))

    focal = focal_px(exif, (300, 200))
    assert focal is None or 60 <= focal <= 3000
    if exif.gps is not None:
        latitude, longitude, altitude = exif.gps
        assert -90 <= latitude <= 90
        assert -180 <= longitude <= 180
        assert altitude is None or -12_000 <= altitude <= 100_000


@pytest.mark.parametrize(
    "latitude",
    [
        (46.0,) * 200,  # more parts than degrees, minutes and seconds
        (46.0, 75.0, 0.0),
        (46.0, -30.0, 0.0),
        (math.nan, 0.0, 0.0),
        (46.0, math.inf, 0.0),
        (IFDRational(1, 0), 0.0, 0.0),
        (10**400, 0.0, 0.0),
        ("46", "x", "0"),
        (),
        46.5,
        "46.5",
    ],
    ids=repr_start,
)
def test_a_latitude_that_is_none_is_ignored(latitude: Any) -> None:
    position = NORTH_EAST | {GPS.GPSLatitude: latitude}
    assert exif_of_tags({}, {}, position, (300, 200)).gps is None


@pytest.mark.parametrize(
    "altitude", [math.nan, 1e9, -20_000.0, IFDRational(5, 0), 10**400, (1, 2)], ids=repr_start
)
def test_an_altitude_that_is_none_leaves_the_position(altitude: Any) -> None:
    position = NORTH_EAST | {GPS.GPSAltitude: altitude}
    assert exif_of_tags({}, {}, position, (300, 200)).gps == (46.5, 7.0, None)


def test_cameras_are_distinguished_by_model_setting_and_upright_size(
    tmp_path: Path, textured: Textured
) -> None:
    main = {Base.Make: "Maker ", Base.Model: "One\0"}
    shot = {Base.FocalLength: 3.99, Base.LensModel: "back camera"}
    exif = tags(tmp_path / "a.jpg", textured(32, 32), main=main, shot=shot)
    assert camera_name(exif, (400, 300)) == "Maker|One|back camera|3.99||400x300"
    assert camera_name(exif, (300, 400)) != camera_name(exif, (400, 300))
    assert camera_name(Exif(), (400, 300)) == "|||||400x300"


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"]
)
def test_a_photo_with_broken_exif_is_read_as_without_exif(
    tmp_path: Path, textured: Textured, exif: bytes
) -> None:
    Image.fromarray(textured(64, 48)).save(tmp_path / "a.jpg", exif=exif)
    photo = read_photo(tmp_path / "a.jpg", "a.jpg", IngestConfig())
    assert (photo.focal_px, photo.gps, photo.camera) == (None, None, "|||||64x48")


@given(cut=st.integers(0, 400), flip=st.integers(0, 399), bit=st.integers(0, 7))
def test_damaged_exif_never_rejects_the_photo(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int, bit: int
) -> None:
    exif = Image.Exif()
    exif[Base.Make] = "maker"
    exif.get_ifd(IFD.Exif).update({Base.FocalLength: 24.0, Base.FocalLengthIn35mmFilm: 50})
    exif.get_ifd(IFD.GPSInfo).update(NORTH_EAST)
    damaged = bytearray(exif.tobytes())
    if flip >= 6:  # past the marker, without which there is no EXIF at all
        damaged[flip % len(damaged)] ^= 1 << bit
    path = tmp_path_factory.mktemp("damaged") / "a.jpg"
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(picture).save(path, exif=bytes(damaged[: max(6, cut)]))

    photo = read_photo(path, "a.jpg", IngestConfig())

    assert photo.focal_px is None or photo.focal_px > 0


COLMAP_FOCAL = """
import json, sys, pycolmap
cameras = [pycolmap.infer_camera_from_image(path) for path in sys.argv[1:]]
print(json.dumps([[c.has_prior_focal_length, c.params[0]] for c in cameras]))
"""


@pytest.mark.parametrize("name", ["sceaux", "brighton_drone", "monstree", "banana", "fountain_p11"])
def test_focal_lengths_match_colmap(name: str) -> None:
    paths = sorted((scene_folder(name) / "images").iterdir())
    photos = [read_photo(path, path.name, IngestConfig()) for path in (paths[0], paths[-1])]

    answer = subprocess.run(  # a process of its own: Pillow and pycolmap do not go together
        [sys.executable, "-c", COLMAP_FOCAL, str(paths[0]), str(paths[-1])],
        capture_output=True,
        check=True,
        text=True,
    )

    for photo, (known, focal) in zip(photos, json.loads(answer.stdout), strict=True):
        assert photo.focal_px == (pytest.approx(focal, rel=1e-3) if known else None)
