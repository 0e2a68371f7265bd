import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.errors import InputError
from tasks.ingest.config import IngestConfig
from tasks.ingest.decode import PhotoError
from tasks.ingest.folder import Rejected
from tasks.ingest.photos import Photo, PhotoFolder, read_photo
from tasks.ingest.source import find_files
from tasks.runtime.context import Context
from tests.support.ingested import ingested

Textured = Callable[..., np.ndarray]


def read(path: Path, config: IngestConfig | None = None) -> Photo:
    return read_photo(path, path.name, config or IngestConfig())


def read_folder(
    folder: Path, config: IngestConfig | None = None
) -> tuple[list[Photo], tuple[Rejected, ...]]:
    photos = PhotoFolder(find_files(folder), config or IngestConfig())
    return list(photos), photos.rejected


def reasons(rejected: tuple[Rejected, ...]) -> dict[str, str]:
    return {each.name: each.reason.split(":")[0] for each in rejected}


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_lossless_pixels_are_decoded_exactly(
    tmp_path: Path, textured: Textured, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(textured(64, 48)).save(path, **options)
    np.testing.assert_array_equal(read(path).pixels, textured(64, 48))


GREY_RAMP = np.tile(np.linspace(0, 65_535, 256).astype(np.uint16), (32, 1))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(GREY_RAMP).save(path)
    expected = np.repeat(np.rint(GREY_RAMP / 257.0)[..., None], 3, axis=2)
    np.testing.assert_array_equal(read(path).pixels, expected)


def test_big_endian_16_bit_grey_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.frombytes("I;16B", (256, 32), GREY_RAMP.astype(">u2").tobytes()).save(path)
    np.testing.assert_array_equal(read(path).pixels[..., 0], np.rint(GREY_RAMP / 257.0))


def test_16_bit_colour_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    colour = np.stack([GREY_RAMP, GREY_RAMP[:, ::-1], GREY_RAMP // 2], axis=-1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, colour, photometric="rgb")
    np.testing.assert_allclose(read(path).pixels, colour / 257.0, atol=1.0)


def test_grey_palette_and_bilevel_become_rgb(tmp_path: Path, textured: Textured) -> None:
    grey = Image.fromarray(textured(64, 48)[..., 0])
    grey.save(tmp_path / "grey.png")
    np.testing.assert_array_equal(
        read(tmp_path / "grey.png").pixels, np.repeat(textured(64, 48)[..., :1], 3, axis=2)
    )
    palette = np.random.default_rng(0).integers(0, 256, (16, 3), dtype=np.uint8)
    indices = np.arange(64 * 48, dtype=np.uint8).reshape(48, 64) % 16
    image = Image.fromarray(indices, mode="P")
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read(tmp_path / "palette.png").pixels, palette[indices])
    bilevel = np.indices((32, 32)).sum(axis=0) % 2 == 0
    Image.fromarray(bilevel).save(tmp_path / "bilevel.png")
    np.testing.assert_array_equal(read(tmp_path / "bilevel.png").pixels[..., 1], bilevel * 255)


def test_cmyk_jpeg_is_converted_to_rgb(tmp_path: Path) -> None:
    inks = np.zeros((64, 64, 4), dtype=np.uint8)
    inks[:32, :, 0] = 255  # cyan above, yellow below
    inks[32:, :, 2] = 255
    path = tmp_path / "a.jpg"
    Image.fromarray(inks, mode="CMYK").save(path, quality=100)
    pixels = read(path).pixels.astype(int)
    np.testing.assert_allclose(pixels[16, 32], (0, 255, 255), atol=4)
    np.testing.assert_allclose(pixels[48, 32], (255, 255, 0), atol=4)


def test_alpha_is_composited_on_black(tmp_path: Path, textured: Textured) -> None:
    colours = textured(64, 48)
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / "a.png")
    expected = colours * (alpha[..., None] / 255.0)
    np.testing.assert_allclose(read(tmp_path / "a.png").pixels, expected, atol=0.51)


def test_premultiplied_alpha_is_composited_once(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    premultiplied = np.full((32, 32, 4), (60, 20, 100, 128), dtype=np.uint8)
    premultiplied[16:] = (10, 120, 30, 128)
    tifffile.imwrite(
        tmp_path / "a.tif", premultiplied, photometric="rgb", extrasamples=["assocalpha"]
    )
    pixels = read(tmp_path / "a.tif").pixels
    np.testing.assert_allclose(pixels, premultiplied[..., :3], atol=1)


def test_a_transparent_palette_entry_becomes_black(tmp_path: Path) -> None:
    image = Image.fromarray(np.indices((32, 32)).sum(axis=0).astype(np.uint8) % 2, mode="P")
    image.putpalette(bytes([250, 10, 20, 30, 240, 50]))
    image.save(tmp_path / "a.png", transparency=0)
    pixels = read(tmp_path / "a.png").pixels
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[0, 1].tolist() == [30, 240, 50]


def test_a_transparent_colour_becomes_black(tmp_path: Path) -> None:
    picture = np.full((32, 32, 3), (200, 30, 40), dtype=np.uint8)
    picture[:, 16:] = (10, 250, 20)
    Image.fromarray(picture).save(tmp_path / "a.png", transparency=(10, 250, 20))
    pixels = read(tmp_path / "a.png").pixels
    assert (pixels[0, 0].tolist(), pixels[0, 31].tolist()) == ([200, 30, 40], [0, 0, 0])


@pytest.mark.parametrize("suffix", ["webp", "png", "tif"])
def test_only_the_first_of_several_frames_is_used(
    tmp_path: Path, textured: Textured, suffix: str
) -> None:
    frames = [Image.fromarray(textured(64, 48, seed)) for seed in range(3)]
    options = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(read(path).pixels, textured(64, 48, 0))


def test_pixels_without_a_defined_white_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = np.random.default_rng(0).uniform(0, 250, (32, 32)).astype(np.uint8)
    Image.merge("LAB", [Image.fromarray(values)] * 3).save(path)
    with pytest.raises(PhotoError, match="has pixels of an unknown scale: mode"):
        read(path)


@given(width=st.integers(100, 300), height=st.integers(100, 300), max_size=st.integers(64, 256))
def test_photos_are_reduced_to_the_longest_edge_and_never_enlarged(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, max_size: int
) -> None:
    path = tmp_path_factory.mktemp("sizes") / "a.png"
    ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, 1, 3))
    Image.fromarray(ramp).save(path, compress_level=1)

    photo = read(path, IngestConfig(max_size=max_size))

    assert photo.source_size == (width, height)
    assert max(photo.size) == min(max_size, max(width, height))
    assert photo.size[0] / photo.size[1] == pytest.approx(width / height, rel=1 / min(photo.size))
    # A ramp stays the ramp that its new pixel centres see.
    centres = (np.arange(photo.size[0]) + 0.5) * width / photo.size[0] - 0.5
    inner = slice(4, -4)
    np.testing.assert_allclose(
        photo.pixels[0, inner, 0], (centres * 255 / (width - 1))[inner], atol=2.5
    )


def noise(level: int, spread: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(level, level + spread + 1, (48, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize("level", [0, 4])
def test_a_black_photo_is_refused_despite_noise_and_hot_pixels(tmp_path: Path, level: int) -> None:
    picture = noise(level, 4)
    picture[7, 7] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    with pytest.raises(PhotoError, match=r"a.png is black: 99.9 % of its pixels are at most \d "):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("level", [30, 200, 251])
def test_a_blank_photo_is_refused(tmp_path: Path, level: int) -> None:
    Image.fromarray(noise(level, 4)).save(tmp_path / "a.png")
    with pytest.raises(PhotoError, match=r"a.png is blank: all but 0.2 % of its pixels"):
        read(tmp_path / "a.png")


def test_a_small_object_on_black_is_accepted(tmp_path: Path) -> None:
    picture = np.zeros((480, 640, 3), dtype=np.uint8)
    picture[200:230, 300:330] = 120  # 0.3 % of the pixels
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").size == (640, 480)


def test_photos_of_a_folder_are_ordered_by_name(tmp_path: Path, textured: Textured) -> None:
    names = ["img10.PNG", "img2.png", "-dash.png", "two words.png", "Ünïcödé 写真.png", "IMG.png"]
    for seed, name in enumerate(names):
        Image.fromarray(textured(64, 48, seed)).save(tmp_path / name)

    photos, rejected = read_folder(tmp_path)

    assert [photo.name for photo in photos] == sorted(names)
    assert rejected == ()
    for photo in photos:
        np.testing.assert_array_equal(photo.pixels, textured(64, 48, names.index(photo.name)))


def test_bad_photos_are_left_out_and_reported(scene: Path, textured: Textured) -> None:
    (scene / "0 text.jpg").write_text("not a photo")
    (scene / "z.jpg").symlink_to("z.jpg")
    Image.new("RGB", (64, 48)).save(scene / "black.png")
    Image.fromarray(textured(80, 90, 9)).save(scene / "e other size.jpg")
    (scene / "raw.NEF").write_bytes(b"II*\0 raw")

    photos, rejected = read_folder(scene)

    assert [photo.name for photo in photos] == [
        "a.png",
        "b.png",
        "c.png",
        "d.png",
        "e other size.jpg",
    ]
    assert reasons(rejected) == {
        "0 text.jpg": "is not an image",
        "black.png": "is black",
        "raw.NEF": "is of a kind that is not read",
        "z.jpg": "cannot be read",
    }


def test_duplicates_are_found_by_their_pixels(scene: Path) -> None:
    with Image.open(scene / "b.png") as image:
        image.save(scene / "z copy.tif")  # other bytes, another name, the same picture
    photos, rejected = read_folder(scene)
    assert len(photos) == 4
    assert rejected == (
        Rejected(
            name="z copy.tif",
            reason="is a duplicate: its 64x48 pixels are those of b.png; remove one of the two",
        ),
    )


def test_a_non_unicode_name_is_refused_and_reported_as_valid_unicode(scene: Path) -> None:
    try:
        (scene / "a.png").rename(os.fsdecode(os.fsencode(scene) + b"/fa\xe7ade.png"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    photos, rejected = read_folder(scene)
    assert [photo.name for photo in photos] == ["b.png", "c.png", "d.png"]
    assert reasons(rejected) == {"fa\\udce7ade.png": "has a broken name"}


def test_too_few_photos_are_refused_with_the_reasons(scene: Path) -> None:
    for name in ("b.png", "c.png"):
        (scene / name).write_bytes(b"damaged")
    with pytest.raises(
        InputError,
        match=r"^2 of 4 files in 'attic' could not be used: \(b.png is not an image: .*\), "
        r"\(c.png .*\); 2 photos remain and structure from motion needs at least 3; add photos$",
    ):
        read_folder(scene, IngestConfig(min_photos=3))


def test_one_good_photo_is_refused(scene: Path) -> None:
    for name in ("b.png", "c.png"):
        (scene / name).unlink()
    assert len(read_folder(scene)[0]) == 2
    (scene / "a.png").unlink()
    with pytest.raises(InputError, match=r"^'attic' holds 1 photo and structure from motion needs"):
        read_folder(scene)


def test_many_refused_photos_are_counted_and_not_listed(scene: Path) -> None:
    for index in range(9):
        (scene / f"x{index}.jpg").write_bytes(b"damaged")
    for name in ("b.png", "c.png"):
        (scene / name).unlink()
    with pytest.raises(InputError, match=r"^9 of 11 files .*x2.jpg [^()]*\) and 6 more; 2 photos"):
        read_folder(scene, IngestConfig(min_photos=3))


def test_if_no_photo_is_left_the_most_common_reason_is_named(scene: Path) -> None:
    for name in ("b.png", "c.png", "d.png"):
        Image.new("RGB", (64, 48), "black").save(scene / name)
    (scene / "a.png").write_text("text")
    with pytest.raises(
        InputError,
        match=r"^none of the 4 files in 'attic' could be used, 3 of them for one reason "
        r"\(b.png is black: ",
    ):
        read_folder(scene)


def test_a_second_pass_over_the_photos_gives_the_same_result(scene: Path) -> None:
    (scene / "bad.jpg").write_bytes(b"damaged")
    photos = PhotoFolder(find_files(scene), IngestConfig())
    first = [photo.name for photo in photos]
    assert [photo.name for photo in photos] == first
    assert len(photos.rejected) == 1


def test_progress_rises_to_one(scene: Path) -> None:
    shares: list[float] = []
    context = Context(progress=lambda share, _: shares.append(share))
    photos = PhotoFolder(find_files(scene), IngestConfig(), context=context)
    list(photos)
    assert shares == [0.0, 0.25, 0.5, 0.75, 1.0]


def cut_out(textured: Textured, seed: int, alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([textured(64, 48, seed), alpha.astype(np.uint8)]))


def test_transparency_that_cuts_something_out_is_a_mask_and_else_it_is_not(
    scene: Path, textured: Textured
) -> None:
    part = np.full((48, 64), 255)
    part[:, :20] = 0
    part[:, 20] = 128
    glass = np.full((48, 64), 128)
    cut_out(textured, 0, part).save(scene / "a.png")
    cut_out(textured, 1, glass).save(scene / "b.png")
    cut_out(textured, 2, np.full((48, 64), 255)).save(scene / "c.png")
    photos, stored = ingested(scene)
    assert photos.mask_names == ("a.png",)
    np.testing.assert_array_equal(photos.mask("a.png"), part == 255)
    used = stored.attributes["used"]
    assert "photos: 1 cut out by transparency, which became a mask: a.png" in used
    assert "photos: 1 transparent in parts, laid over black: b.png" in used
    assert "masks: of 1 of 4 photos, none of b.png, c.png, d.png" in used


def test_transparency_is_no_mask_where_the_options_say_so(scene: Path, textured: Textured) -> None:
    part = np.full((48, 64), 255)
    part[:, :20] = 0
    cut_out(textured, 0, part).save(scene / "a.png")
    photos, _ = ingested(scene, IngestConfig(alpha_as_mask=False))
    assert photos.mask_names == ()
    assert photos.pixels(0)[0, 0].tolist() == [0, 0, 0]


def test_photos_larger_than_the_limit_are_reduced_while_they_are_decoded(
    scene: Path, textured: Textured
) -> None:
    """384x288 pixels are more than may be decoded, and a quarter of them are not."""
    Image.fromarray(textured(384, 288, 5)).save(scene / "e.jpg", quality=95)
    config = IngestConfig(max_size=64, max_pixels=2 * 192 * 144)
    photos, stored = ingested(scene, config)
    index = photos.names.index("e.jpg")
    assert photos.infos[index].size == (64, 48)
    assert photos.infos[index].source_size == (384, 288)
    expected = textured(384, 288, 5).reshape(48, 6, 64, 6, 3).mean((1, 3))
    assert np.abs(photos.pixels(index) - expected).mean() < 4
    assert "photos: 1 reduced while decoding: e.jpg" in stored.attributes["used"]


def test_a_progressive_jpeg_larger_than_the_limit_is_refused_for_it_is_held_whole(
    scene: Path, textured: Textured
) -> None:
    picture = Image.fromarray(textured(384, 288, 5))
    picture.save(scene / "e.jpg", quality=95, progressive=True)
    photos, _ = ingested(scene, IngestConfig(max_size=64, max_pixels=2 * 192 * 144))
    assert [each.name for each in photos.rejected] == ["e.jpg"]
    assert photos.rejected[0].reason.startswith("is too large: its header says 384x288")


def test_what_was_used_names_photos_and_why(scene: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(scene / "a.png") as image:
        image.save(scene / "a.png", exif=exif)
    (scene / "b.png").write_bytes(b"no photo")
    _, stored = ingested(scene)
    assert stored.attributes["used"] == [
        "cameras: none given, so they are estimated",
        "photos: 3 photos read",
        "photos: 1 left out: b.png (is not an image)",
        "photos: 1 turned upright by EXIF: a.png",
    ]
