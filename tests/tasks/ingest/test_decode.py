import contextlib
import errno
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.errors import InputError, MachineError
from tasks.ingest.config import IngestConfig
from tasks.ingest.decode import PhotoError, decoded, opened
from tasks.ingest.photos import read_photo

Textured = Callable[..., np.ndarray]


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises width x height RGB pixels and holds one compressed row of zeros."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1 + 3 * width)))
        + chunk(b"IEND", b"")
    )


def refusal(path: Path, config: IngestConfig | None = None) -> str:
    with pytest.raises(PhotoError) as caught:
        read_photo(path, path.name, config or IngestConfig())
    return str(caught.value)


def test_a_decompression_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(30_000, 30_000))
    # Decoding would have ended in "truncated", for only one row is there.
    assert refusal(path).startswith("bomb.png is too large: its header says 30000x30000, 900 mega")


def test_the_pixel_limit_comes_from_the_config(tmp_path: Path, textured: Textured) -> None:
    Image.fromarray(textured(100, 50)).save(tmp_path / "a.png")
    config = IngestConfig(max_pixels=5000)
    assert read_photo(tmp_path / "a.png", "a.png", config).size == (100, 50)
    Image.fromarray(textured(100, 51)).save(tmp_path / "b.png")
    assert "is too large: its header says 100x51" in refusal(tmp_path / "b.png", config)


def test_the_pixel_limit_of_pillow_is_unchanged(tmp_path: Path, textured: Textured) -> None:
    before = Image.MAX_IMAGE_PIXELS
    Image.fromarray(textured(64, 48)).save(tmp_path / "a.png")
    read_photo(tmp_path / "a.png", "a.png", IngestConfig())
    (tmp_path / "b.png").write_text("no picture")
    refusal(tmp_path / "b.png")
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_truncated_photo_is_refused(
    tmp_path: Path, textured: Textured, suffix: str, share: float
) -> None:
    path = tmp_path / f"photo.{suffix}"
    options = {"compression": "tiff_lzw"} if suffix == "tif" else {}
    Image.fromarray(textured(256, 192)).save(path, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "is truncated or broken: " in refusal(path)


def test_a_truncated_jpeg_error_states_how_much_was_read(
    tmp_path: Path, textured: Textured
) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(textured(256, 192)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    assert "decoding its 256x192 pixels from 2000 bytes ended with" in refusal(path)


DAMAGE = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@given(damage=DAMAGE, kept=st.floats(0.01, 1))
def test_damaged_bytes_either_decode_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    damage: list[tuple[float, int]],
    kept: float,
) -> None:
    path = tmp_path_factory.mktemp("damaged") / f"photo.{suffix}"
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(picture).save(path)
    content = bytearray(path.read_bytes())
    for where, change in damage:
        content[int(where * len(content))] ^= change
    path.write_bytes(content[: int(kept * len(content))])
    with contextlib.suppress(PhotoError):
        photo = read_photo(path, path.name, IngestConfig(max_pixels=1_000_000))
        assert max(photo.size) <= IngestConfig().max_size


def test_text_named_jpg_is_refused_and_its_first_bytes_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("Hello, I am no photo.")
    assert (
        "is not an image: no JPEG, PNG, WebP, TIFF or AVIF begins with the bytes b'Hello, I am"
        in (refusal(path))
    )


@pytest.mark.parametrize("kind", ["GIF", "BMP", "PPM", "EPS"])
def test_formats_outside_the_allowed_list_are_never_decoded(
    tmp_path: Path, textured: Textured, kind: str
) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(textured(64, 48)).save(path, format=kind)
    assert "is not an image" in refusal(path)


def test_the_format_is_detected_from_content_and_not_from_the_extension(
    tmp_path: Path, textured: Textured
) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(textured(64, 48)).save(path, format="PNG")
    np.testing.assert_array_equal(
        read_photo(path, path.name, IngestConfig()).pixels, textured(64, 48)
    )


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 40), (1, 1), (1, 4000), (40, 15)])
def test_tiny_photos_are_refused(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "tiny.png"
    if width:
        Image.new("RGB", (width, height), "white").save(path)
    else:
        path.write_bytes(png_header(width, height))
    refusal(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert refusal(tmp_path / "a.jpg").startswith("a.jpg is empty: it holds 0 bytes")


def test_a_missing_file_and_a_loop_of_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    assert "cannot be read: Too many levels of symbolic links" in refusal(tmp_path / "loop.jpg")
    assert "cannot be read: No such file" in refusal(tmp_path / "dangling.jpg")


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert "is not a file: a folder, pipe or device has its name" in refusal(tmp_path / "a.jpg")


def test_a_file_without_permission_is_refused(
    tmp_path: Path, textured: Textured, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("a.png")
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # so that only this folder must let us through
    Image.fromarray(textured(64, 48)).save(path)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # nobody: root may read everything
    try:
        assert "cannot be read: Permission denied" in refusal(path)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE])
def test_a_machine_error_is_not_reported_as_a_bad_photo(tmp_path: Path, code: int) -> None:
    (tmp_path / "a.jpg").write_bytes(b"something")
    with (
        pytest.raises(MachineError, match="could not be read now"),
        opened(tmp_path / "a.jpg", "a.jpg"),
    ):
        raise OSError(code, os.strerror(code))


def test_out_of_memory_in_a_decoder_is_not_reported_as_a_bad_photo(
    tmp_path: Path, textured: Textured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    Image.fromarray(textured(64, 48)).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", exhausted)
    with pytest.raises(MemoryError), decoded(tmp_path / "a.png", "a.png", 10_000):
        pass


def test_a_photo_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(PhotoError("a b.jpg", "is black: entirely")))
    assert isinstance(error, InputError)
    assert (error.name, error.reason) == ("a b.jpg", "is black: entirely")
    assert str(error) == "a b.jpg is black: entirely"
