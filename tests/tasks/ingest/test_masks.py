from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.ingest.config import IngestConfig
from tasks.ingest.source import digest_source, find_files
from tests.support.ingested import ingested

Textured = Callable[..., np.ndarray]

USED = np.zeros((48, 64), dtype=bool)
USED[8:40, 16:] = True


def save_mask(scene: Path, name: str, used: np.ndarray = USED, level: int = 255) -> Path:
    path = scene / "masks" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray((used * level).astype(np.uint8)).save(path)
    return path


def test_masks_belong_to_photos_by_name_or_by_stem(scene: Path) -> None:
    save_mask(scene, "a.png.png")
    save_mask(scene, "c.png", ~USED)
    photos, stored = ingested(scene)
    assert photos.mask_names == ("a.png", "c.png")
    np.testing.assert_array_equal(photos.mask("a.png"), USED)
    np.testing.assert_array_equal(photos.mask("c.png"), ~USED)
    assert stored.arrays["mask_0002"].dtype == bool


@pytest.mark.parametrize("level", [1, 128, 255])
def test_every_mask_value_except_black_means_used(scene: Path, level: int) -> None:
    save_mask(scene, "a.png", level=level)
    np.testing.assert_array_equal(ingested(scene)[0].mask("a.png"), USED)


@pytest.mark.parametrize("mode", ["1", "RGB", "P", "RGBA", "LA", "I;16"])
def test_masks_of_any_mode_are_read(scene: Path, mode: str) -> None:
    path = save_mask(scene, "a.png")
    with Image.open(path) as image:
        image.convert(mode).save(path)
    np.testing.assert_array_equal(ingested(scene)[0].mask("a.png"), USED)


def test_transparent_pixels_of_a_mask_are_not_used(scene: Path) -> None:
    colours = np.full((48, 64, 4), 255, dtype=np.uint8)
    colours[..., 3] = 255 * USED
    path = save_mask(scene, "a.png")
    Image.fromarray(colours).save(path)
    np.testing.assert_array_equal(ingested(scene)[0].mask("a.png"), USED)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_rotated_with_its_photo(scene: Path, orientation: int) -> None:
    """The photo is its own mask: what is bright in it is used, however it is turned."""
    bright = np.zeros((48, 64), dtype=bool)
    bright[:10, :30] = True
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = np.where(bright[..., None], 250, 20).astype(np.uint8).repeat(3, axis=2)
    Image.fromarray(picture).save(scene / "a.png", exif=exif)
    save_mask(scene, "a.png", bright)
    photos, _ = ingested(scene)
    np.testing.assert_array_equal(photos.mask("a.png"), photos.pixels(0)[..., 0] > 128)


def test_a_reduced_mask_keeps_only_fully_used_pixels(scene: Path, textured: Textured) -> None:
    Image.fromarray(textured(128, 96, 9)).save(scene / "a.png")
    used = np.zeros((96, 128), dtype=bool)
    used[10:61, 21:90] = True
    save_mask(scene, "a.png", used)
    photos, _ = ingested(scene, IngestConfig(max_size=64))
    whole = used.reshape(48, 2, 64, 2).all(axis=(1, 3))
    np.testing.assert_array_equal(photos.mask("a.png"), whole)


def test_a_mask_of_another_size_and_the_same_shape_is_scaled(scene: Path) -> None:
    save_mask(scene, "a.png", USED[::2, ::2])
    save_mask(scene, "b.png", USED.repeat(3, axis=0).repeat(3, axis=1))
    photos, _ = ingested(scene)
    assert photos.mask_names == ("a.png", "b.png")
    for name in photos.mask_names:
        np.testing.assert_array_equal(photos.mask(name), USED)


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png.jpg", "a.JPEG", "a.tif", "a_mask.png", "a.png_mask.png", "mask_a.png"]
)
def test_masks_of_any_kind_and_of_the_usual_names_are_read(scene: Path, name: str) -> None:
    save_mask(scene, name)
    photos, _ = ingested(scene)
    assert photos.mask_names == ("a.png",)
    np.testing.assert_array_equal(photos.mask("a.png")[10:38, 18:], USED[10:38, 18:])
    np.testing.assert_array_equal(photos.mask("a.png")[:6], False)


@pytest.mark.parametrize("name", ["a_mask.png", "a.mask.jpg", "mask_a.png", "a.png_mask.png"])
def test_masks_beside_photos_are_masks_and_no_photos(scene: Path, name: str) -> None:
    save_mask(scene, name).rename(scene / name)
    (scene / "masks").rmdir()
    photos, _ = ingested(scene)
    assert photos.names == ("a.png", "b.png", "c.png", "d.png")
    assert photos.mask_names == ("a.png",)
    np.testing.assert_array_equal(photos.mask("a.png")[10:38, 18:], USED[10:38, 18:])


def test_a_photo_that_is_only_called_like_a_mask_is_a_photo(
    scene: Path, textured: Textured
) -> None:
    Image.fromarray(textured(64, 48, 9)).save(scene / "festival_mask.png")
    assert "festival_mask.png" in ingested(scene)[0].names


def test_masks_in_the_sense_of_instant_ngp_are_neither_photos_nor_taken_the_wrong_way(
    scene: Path,
) -> None:
    save_mask(scene, "x.png").rename(scene / "dynamic_mask_a.png")
    (scene / "masks").rmdir()
    photos, stored = ingested(scene)
    assert photos.names == ("a.png", "b.png", "c.png", "d.png")
    assert photos.mask_names == ()
    assert any("1 masks called 'dynamic_mask_...'" in line for line in stored.attributes["used"])


def test_two_masks_of_one_photo_are_refused(scene: Path) -> None:
    save_mask(scene, "a.png")
    save_mask(scene, "a.jpg")
    with pytest.raises(InputError, match=r"masks/a.jpg and masks/a.png are both masks of 'a.png'"):
        find_files(scene)


def test_a_photo_with_a_mask_of_another_shape_is_refused(scene: Path) -> None:
    save_mask(scene, "a.png", USED.T)
    photos, _ = ingested(scene)
    assert photos.names == ("b.png", "c.png", "d.png")
    assert photos.rejected[0].reason == (
        "has a mask of another shape: masks/a.png has 48x64 pixels and the file of the photo "
        "64x48; make the mask from that file's pixels"
    )


def test_a_photo_with_a_broken_or_an_empty_mask_is_refused(scene: Path) -> None:
    save_mask(scene, "a.png", np.zeros_like(USED))
    path = save_mask(scene, "b.png")
    path.write_bytes(path.read_bytes()[:60])
    photos, _ = ingested(scene, IngestConfig(min_photos=2))
    assert photos.names == ("c.png", "d.png")
    reasons = {each.name: each.reason for each in photos.rejected}
    assert reasons["a.png"].startswith("is masked out: of its 64x48 pixels not one may be used")
    assert reasons["b.png"].startswith("has a bad mask: masks/b.png is truncated or broken")


def test_masks_that_match_no_photo_or_two_photos_are_refused(scene: Path) -> None:
    save_mask(scene, "z.png")
    with pytest.raises(InputError, match=r"none of the 1 masks in masks/ \('z.png', ...\)"):
        find_files(scene)
    save_mask(scene, "a.png")
    (scene / "a.jpg").write_bytes((scene / "a.png").read_bytes())
    with pytest.raises(InputError, match=r"masks/a.png could belong to 'a.jpg' and to 'a.png'"):
        find_files(scene)


def test_the_digest_covers_masks(scene: Path) -> None:
    plain = digest_source(scene).digest
    save_mask(scene, "a.png")
    masked = digest_source(scene).digest
    save_mask(scene, "a.png", ~USED)
    assert len({plain, masked, digest_source(scene).digest}) == 3
