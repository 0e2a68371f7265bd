import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.ingest.listing import find_photos
from tasks.ingest.source import check_unchanged, digest_source, find_files

NAMES = st.text("abcXYZ019 -_.éß写", min_size=1, max_size=12).map(lambda stem: f"p{stem}.jpg")
PHOTOS = st.dictionaries(NAMES, st.binary(min_size=1, max_size=40), min_size=1, max_size=5)


def fill(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def digest_of(contents: dict[str, bytes], subfolder: str = "") -> str:
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder, subfolder), contents)
        return digest_source(Path(folder)).digest


@given(PHOTOS)
def test_equal_bytes_give_equal_digests_in_any_folder(photos: dict[str, bytes]) -> None:
    assert digest_of(photos) == digest_of(photos)
    assert digest_of(photos) == digest_of(photos, "images")


@given(PHOTOS, st.data())
def test_any_changed_byte_changes_the_digest(photos: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(photos)))
    content = bytearray(photos[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    assert digest_of(photos) != digest_of({**photos, name: bytes(content)})


@given(PHOTOS, NAMES, st.data())
def test_a_rename_a_removal_and_a_swap_change_the_digest(
    photos: dict[str, bytes], new_name: str, data: st.DataObject
) -> None:
    assume(new_name not in photos)
    name = data.draw(st.sampled_from(sorted(photos)))
    others = {key: content for key, content in photos.items() if key != name}
    before = digest_of(photos)
    assert before != digest_of({**others, new_name: photos[name]})
    if others:
        assert before != digest_of(others)
        other = data.draw(st.sampled_from(sorted(others)))
        if photos[name] != photos[other]:
            assert before != digest_of({**photos, name: photos[other], other: photos[name]})


def test_the_digest_covers_sidecars_and_no_other_files(scene: Path) -> None:
    plain = digest_source(scene).digest
    (scene / "README.md").write_text("notes")
    (scene / ".hidden.png").write_bytes(b"x")
    fill(scene / "gt_original", {"a.jpg.camera": b"x"})
    assert digest_source(scene).digest == plain

    camera = {"width": 64, "height": 48, "fx": 60, "fy": 60, "cx": 32, "cy": 24, "t": [0, 0, 0]}
    camera |= {"image": "a.png", "R": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
    (scene / "cameras_gt.json").write_text(json.dumps([camera]))
    with_cameras = digest_source(scene).digest
    fill(scene / "depth", {"a.png": b"depth"})
    with_depth = digest_source(scene).digest
    fill(scene / "depth", {"a.png": b"other"})
    assert len({plain, with_cameras, with_depth, digest_source(scene).digest}) == 4


def test_a_moved_folder_keeps_its_digest(scene: Path, tmp_path: Path) -> None:
    before = digest_source(scene)
    moved = shutil.move(scene, tmp_path / "elsewhere")
    after = digest_source(Path(moved))
    assert (after.digest, after.folder) == (before.digest, str(moved))


def test_unreadable_files_have_a_digest_too(scene: Path) -> None:
    plain = digest_source(scene).digest
    (scene / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(scene / "pipe.jpg")
    (scene / "empty.jpg").touch()
    assert digest_source(scene).digest != plain
    assert digest_source(scene).digest == digest_source(scene).digest


def test_files_that_change_after_the_digest_are_detected(scene: Path) -> None:
    before = digest_source(scene)
    check_unchanged(before)
    content = (scene / "a.png").read_bytes()
    for change in (Path.unlink, lambda path: path.write_bytes(content + b"more")):
        change(scene / "a.png")
        with pytest.raises(InputError, match="changed while they were read"):
            check_unchanged(before)
        (scene / "a.png").write_bytes(content)
    check_unchanged(before)
    shutil.rmtree(scene)
    with pytest.raises(InputError, match="changed while they were read"):
        check_unchanged(before)


def test_only_photos_are_found_sorted_by_name(tmp_path: Path) -> None:
    photos = ["-1.jpg", "IMG_10.JPG", "IMG_2.jpeg", "a b.TIFF", "z.WebP", "é.png"]
    others = [".DS_Store.jpg", "Thumbs.db", "cameras_gt.json", "notes.txt", "movie.mp4", "jpg"]
    fill(tmp_path, dict.fromkeys(photos + others, b"x"))
    (tmp_path / "folder.jpg").mkdir()
    fill(tmp_path / "gt_original", {"hidden.png": b"x"})
    assert [path.name for path in find_photos(tmp_path)] == photos


def test_the_images_folder_takes_precedence_unless_it_is_empty(tmp_path: Path) -> None:
    fill(tmp_path, {"preview.jpg": b"x"})
    (tmp_path / "images").mkdir()
    assert find_photos(tmp_path) == (tmp_path / "preview.jpg",)
    fill(tmp_path / "images", {"1.jpg": b"x"})
    assert find_photos(tmp_path) == (tmp_path / "images/1.jpg",)


def test_a_raw_file_beside_its_jpeg_is_skipped_and_a_raw_file_alone_is_found(
    tmp_path: Path,
) -> None:
    fill(tmp_path, {"1.jpg": b"x", "1.CR2": b"x", "2.heic": b"x"})
    assert [path.name for path in find_photos(tmp_path)] == ["1.jpg", "2.heic"]


def test_cyclic_links_terminate(scene: Path) -> None:
    (scene / "images").symlink_to(scene)  # a folder of itself
    (scene / "depth").symlink_to("depth")
    found = find_files(scene)
    assert [path.name for path in found.photos] == ["a.png", "b.png", "c.png", "d.png"]
    assert found.depth == {}


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(InputError, match=r"holds no photo .* there is nothing to reconstruct"):
        find_files(tmp_path)


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="attic' does not exist"):
        find_photos(tmp_path / "attic")
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="is a file, and a scene is a folder of photos or a video"):
        find_photos(tmp_path / "a.jpg")


def test_an_unlistable_folder_is_refused(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.parent.chmod(0o755)
    monkeypatch.chdir(scene.parent)
    scene.chmod(0o111)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # nobody: root may list everything
    try:
        with pytest.raises(InputError, match=r"'attic' cannot be listed \(Permission denied"):
            find_photos(Path("attic"))
    finally:
        os.seteuid(user)
        scene.chmod(0o755)
