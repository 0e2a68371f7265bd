"""Grey photos of more than 8 bits: what becomes black and what white."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.ingest.config import IngestConfig
from tasks.ingest.decode import PhotoError
from tasks.ingest.photos import read_photo
from tests.support.ingested import ingested

RAMP = np.tile(np.linspace(0.0, 1.0, 256), (48, 1))


def scene_of(folder: Path, *photos: np.ndarray) -> Path:
    for index, values in enumerate(photos):
        Image.fromarray(values).save(folder / f"{index}.tif")
    return folder


def test_thermal_photos_are_stretched_by_one_range_for_all(tmp_path: Path) -> None:
    """Kelvin in hundredths: 290 to 300 K in one photo, 295 to 305 K in the other."""
    cold = (29_000 + 1000 * RAMP).astype(np.uint16)
    warm = (29_500 + 1000 * RAMP).astype(np.uint16)
    photos, stored = ingested(scene_of(tmp_path, cold, warm))
    for index, values in enumerate((cold, warm)):
        expected = 255 * (values - 29_000.0) / 1500.0
        np.testing.assert_allclose(photos.pixels(index)[..., 0], expected, atol=2)
    # The same temperature has the same brightness in both.
    same = [photos.pixels(0)[0, 191, 0], photos.pixels(1)[0, 64, 0]]
    assert abs(int(same[0]) - int(same[1])) <= 1
    (line,) = [line for line in stored.attributes["used"] if "grey values" in line]
    assert "more than 8 bits: 2900" in line


@pytest.mark.parametrize("bits", [12, 14])
def test_fewer_bits_in_16_fill_the_range(tmp_path: Path, bits: int) -> None:
    white = 2**bits - 1
    values = np.rint(white * RAMP).astype(np.uint16)
    photos, stored = ingested(scene_of(tmp_path, values, values[:, ::-1].copy()))
    np.testing.assert_allclose(photos.pixels(0)[..., 0], 255 * RAMP, atol=1)
    assert any(f"0 became black and {white} white" in line for line in stored.attributes["used"])


def test_16_bits_stay_as_they_are_and_nothing_is_said_of_them(tmp_path: Path) -> None:
    values = np.rint(65_535 * RAMP).astype(np.uint16)
    dark = np.rint(20_000 * RAMP).astype(np.uint16)
    photos, stored = ingested(scene_of(tmp_path, values, dark))
    np.testing.assert_array_equal(photos.pixels(0)[..., 0], np.rint(values / 257.0))
    np.testing.assert_array_equal(photos.pixels(1)[..., 0], np.rint(dark / 257.0))
    assert not any("grey values" in line for line in stored.attributes["used"])


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (12.5, 31.0), (-4.0, 9.0)])
def test_floating_point_is_read_from_0_to_1_or_by_its_range(
    tmp_path: Path, low: float, high: float
) -> None:
    values = (low + (high - low) * RAMP).astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    photos, stored = ingested(scene_of(tmp_path, values, values[:, ::-1].copy()))
    np.testing.assert_allclose(photos.pixels(0)[1:, :, 0], 255 * RAMP[1:], atol=2)
    assert any("floating point" in line for line in stored.attributes["used"])


def test_noise_of_covered_lenses_is_not_stretched_into_pictures(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    photos = [noise.integers(900, 960, (48, 64)).astype(np.uint16) for _ in range(2)]
    with pytest.raises(InputError, match=r"is blank"):
        ingested(scene_of(tmp_path, *photos))
    photos = [noise.integers(0, 100, (48, 64)).astype(np.uint16) for _ in range(2)]
    with pytest.raises(InputError, match=r"is black"):
        ingested(scene_of(tmp_path, *photos))


def test_planes_of_8_bits_are_read_and_others_are_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    colours = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.tif"
    planes = {"planarconfig": "separate", "photometric": "rgb"}
    for compression in (None, "zlib"):
        tifffile.imwrite(path, colours.transpose(2, 0, 1), compression=compression, **planes)
        np.testing.assert_array_equal(read_photo(path, "a.tif", IngestConfig()).pixels, colours)
    tifffile.imwrite(path, colours.transpose(2, 0, 1).astype(np.uint16) * 257, **planes)
    with pytest.raises(PhotoError, match="planes of 16 bits for each colour; save it with inter"):
        read_photo(path, "a.tif", IngestConfig())


def test_colours_of_12_bits_in_16_and_of_floats_are_refused_in_one_sentence(
    tmp_path: Path,
) -> None:
    tifffile = pytest.importorskip("tifffile")
    colours = np.random.default_rng(0).integers(0, 4096, (48, 64, 3), dtype=np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, colours, photometric="rgb")
    with pytest.raises(PhotoError, match="holds few bits in 16: its brightest pixels reach 15"):
        read_photo(path, "a.tif", IngestConfig())
    tifffile.imwrite(path, (colours / 4095).astype(np.float32), photometric="rgb")
    with pytest.raises(PhotoError, match=r"as with colours of 32 bits\), save it with 8 or 16"):
        read_photo(path, "a.tif", IngestConfig())
