"""Refusal of scene files whose links lead out of the scene."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.errors import InputError
from tasks.ingest.containment import files_inside, is_inside


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    (tmp_path / "scene" / "images").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for folder in (tmp_path / "scene" / "images", tmp_path / "elsewhere"):
        Image.new("RGB", (8, 8)).save(folder / "a.png")
    return tmp_path / "scene"


def linked_photo(scene: Path) -> None:
    (scene / "images" / "b.png").symlink_to(scene.parent / "elsewhere" / "a.png")


def linked_folder(scene: Path) -> None:
    (scene / "images").rename(scene.parent / "kept")
    (scene / "images").symlink_to(scene.parent / "elsewhere")


def linked_through_a_link(scene: Path) -> None:
    (scene / "hop").symlink_to(scene.parent / "elsewhere")
    (scene / "images" / "b.png").symlink_to("../hop/a.png")


def linked_depth(scene: Path) -> None:
    (scene / "depth").symlink_to(scene.parent / "elsewhere")


def linked_masks(scene: Path) -> None:
    (scene / "masks").symlink_to(scene.parent / "elsewhere")


def linked_cameras(scene: Path) -> None:
    """To something that reading would choke on."""
    (scene.parent / "elsewhere" / "secret").write_text("{ no JSON")
    (scene / "transforms.json").symlink_to(scene.parent / "elsewhere" / "secret")


@pytest.mark.parametrize(
    "link", [linked_photo, linked_folder, linked_through_a_link, linked_depth, linked_masks]
)
def test_links_out_of_a_scene_are_refused_unless_they_are_allowed(
    scene: Path, link: object
) -> None:
    assert callable(link)
    link(scene)
    elsewhere = scene.parent / "elsewhere"
    with pytest.raises(InputError, match=rf"links out of it.* to {elsewhere}.*UNSEEN_PHOTO_ROOTS"):
        files_inside(scene, ())
    files_inside(scene, (elsewhere,))


def test_cameras_behind_a_link_out_of_the_scene_are_not_read(scene: Path) -> None:
    linked_cameras(scene)
    with pytest.raises(InputError, match=r"links out of it, the first 'transforms\.json'"):
        files_inside(scene, ())
    with pytest.raises(InputError, match="invalid json"):
        files_inside(scene, (scene.parent / "elsewhere",))


def test_links_within_a_scene_and_a_linked_scene_folder_are_accepted(scene: Path) -> None:
    (scene / "images" / "b.png").symlink_to("a.png")
    (scene.parent / "link").symlink_to(scene)
    files_inside(scene, ())
    files_inside(scene.parent / "link", ())


def test_cyclic_links_are_left_to_the_per_photo_refusal(scene: Path) -> None:
    (scene / "images" / "loop.png").symlink_to("loop.png")
    files_inside(scene, ())


def test_a_video_named_as_the_scene_is_read_wherever_its_link_leads(scene: Path) -> None:
    (scene.parent / "walk.mp4").write_bytes(b"")
    (scene / "walk.mp4").symlink_to(scene.parent / "walk.mp4")
    files_inside(scene / "walk.mp4", ())


@given(st.lists(st.sampled_from(["..", ".", "a", "b", "store", "store2"]), max_size=6))
def test_containment_is_decided_by_path_components(parts: list[str]) -> None:
    walked: list[str] = ["top", "store"]
    for part in parts:
        if part == "..":
            walked = walked[:-1]
        elif part != ".":
            walked = [*walked, part]
    path = Path("/no-such-place/top/store").joinpath(*parts)
    expected = walked[:2] == ["top", "store"] and parts.count("..") <= 3
    if parts.count("..") <= 3:
        assert is_inside(path, [Path("/no-such-place/top/store")]) == expected
