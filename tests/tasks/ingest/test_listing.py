"""Folders of scenes as people and tools leave them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.ingest.source import digest_source, find_files
from tests.support.ingested import ingested

Textured = Callable[..., np.ndarray]


@pytest.fixture
def photograph(tmp_path: Path, textured: Textured) -> Callable[..., Path]:
    """``photograph("images/a.png", ...)``: a scene of those photos, all different."""

    def taken(*names: str) -> Path:
        for index, name in enumerate(names):
            path = tmp_path / "scene" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(textured(64, 48, index)).save(path)
        return tmp_path / "scene"

    return taken


@pytest.mark.parametrize("place", ["images", "input", "images_2", "images_8"])
def test_photos_are_found_in_the_folders_of_other_tools(
    photograph: Callable[..., Path], place: str
) -> None:
    scene = photograph(f"{place}/a.png", f"{place}/b.png")
    photos, stored = ingested(scene)
    assert photos.names == ("a.png", "b.png")
    assert any(f"2 photos read from {place}/" in line for line in stored.attributes["used"])


def test_the_full_photos_come_before_the_originals_and_the_reduced_ones(
    photograph: Callable[..., Path],
) -> None:
    scene = photograph("images/a.png", "images/b.png", "input/c.png", "images_2/a.png")
    photos, stored = ingested(scene)
    assert photos.names == ("a.png", "b.png")
    assert any("passed over: 1 in 'input'" in line for line in stored.attributes["used"])


@pytest.mark.parametrize("place", ["images/", "input/", ""])
def test_the_folders_of_a_rig_are_its_cameras(photograph: Callable[..., Path], place: str) -> None:
    names = [f"{place}cam{camera}/{photo}.png" for camera in (0, 1) for photo in (0, 1)]
    photos, _ = ingested(photograph(*names))
    assert photos.names == ("cam0__0.png", "cam0__1.png", "cam1__0.png", "cam1__1.png")
    cameras = [info.camera for info in photos.infos]
    assert cameras[0] == cameras[1] != cameras[2] == cameras[3]


def test_scenes_of_a_dataset_are_not_mixed_into_one(photograph: Callable[..., Path]) -> None:
    dataset = photograph("attic/a.png", "attic/b.png", "hall/a.png", "hall/b.png")
    with pytest.raises(InputError, match=r"its folders 'attic', 'hall' hold some.*'unseen run'"):
        find_files(dataset)


def test_sub_folders_beside_photos_are_passed_over_and_said(
    photograph: Callable[..., Path],
) -> None:
    scene = photograph("images/a.png", "images/b.png", "images/old/c.png", "images/old/d.png")
    photos, stored = ingested(scene)
    assert photos.names == ("a.png", "b.png")
    assert any("passed over: 2 in 'images/old'" in line for line in stored.attributes["used"])


def test_litter_of_other_systems_is_passed_over_and_said(photograph: Callable[..., Path]) -> None:
    scene = photograph(
        "images/cam0/a.png", "images/cam0/b.png", "images/cam0/@eaDir/a.png", "__MACOSX/a.png"
    )
    (scene / "images/cam0/._a.png").write_bytes(b"x")
    (scene / "images/cam0/Thumbs.db").write_bytes(b"x")
    photos, stored = ingested(scene)
    assert photos.names == ("cam0__a.png", "cam0__b.png")
    assert photos.rejected == ()
    (line,) = [line for line in stored.attributes["used"] if "other systems" in line]
    assert "__MACOSX" in line


def test_a_heic_photo_beside_its_jpeg_is_skipped_and_alone_refused_with_a_remedy(
    photograph: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.ingest.decode.heif_reader", lambda: "")
    monkeypatch.setattr("tasks.ingest.decode._heif_formats", lambda: ())
    scene = photograph("a.png", "b.png")
    heic = b"\0\0\0\x1cftypheic" + bytes(100)
    for name in ("a.heic", "c.HEIC", "renamed.jpg"):
        (scene / name).write_bytes(heic)
    photos, _ = ingested(scene)
    assert photos.names == ("a.png", "b.png")
    assert [each.name for each in photos.rejected] == ["c.HEIC", "renamed.jpg"]
    for each in photos.rejected:
        assert "HEIC, which needs a package" in each.reason
        assert "pip install pi-heif" in each.reason


def test_another_reader_of_heic_photos_makes_another_source(
    photograph: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = photograph("a.png", "b.png")
    plain = digest_source(scene).digest
    monkeypatch.setattr("tasks.ingest.source.heif_reader", lambda: "pi_heif 1")
    assert digest_source(scene).digest == plain
    (scene / "c.heic").write_bytes(b"\0\0\0\x1cftypheic" + bytes(100))
    found = set()
    for reader in ("", "pi_heif 1", "pi_heif 2"):
        monkeypatch.setattr("tasks.ingest.source.heif_reader", lambda reader=reader: reader)
        found.add(digest_source(scene).digest)
    assert len(found) == 3


def test_heic_photos_are_read_where_a_package_for_them_is_installed(
    photograph: Callable[..., Path], textured: Textured
) -> None:
    heif = pytest.importorskip("pillow_heif", reason="HEIC is written by pillow-heif alone")
    scene = photograph("a.png", "b.png")
    heif.register_heif_opener()
    Image.fromarray(textured(64, 48, 7)).save(scene / "c.heic", quality=95)
    (scene / "c.heic").rename(scene / "renamed.jpg")
    photos, _ = ingested(scene)
    assert "renamed.jpg" in photos.names
    difference = np.abs(photos.pixels(2).astype(float) - textured(64, 48, 7)).mean()
    assert difference < 6


def test_avif_photos_are_read(photograph: Callable[..., Path], textured: Textured) -> None:
    scene = photograph("a.png", "b.png")
    Image.fromarray(textured(64, 48, 7)).save(scene / "c.avif", quality=95)
    photos, _ = ingested(scene)
    assert photos.names == ("a.png", "b.png", "c.avif")
    assert np.abs(photos.pixels(2).astype(float) - textured(64, 48, 7)).mean() < 6
