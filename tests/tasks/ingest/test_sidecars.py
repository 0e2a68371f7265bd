import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.cameras import CameraModel
from tasks.errors import InputError
from tasks.ingest.given import camera_model_of_photo
from tasks.ingest.sidecars import depth_by_photo, read_cameras, read_depth

NAMES = ["a.jpg", "b.jpg", "c.jpg"]
ROTATIONS = Rotation.random(3, random_state=0).as_matrix()
TRANSLATIONS = np.random.default_rng(0).normal(size=(3, 3))

Entry = dict[str, Any]


def entries() -> list[Entry]:
    return [
        {
            "image": name,
            "width": 600,
            "height": 400,
            "fx": 500.0 + index,
            "fy": 510.0,
            "cx": 301.5,
            "cy": 199,
            "R": ROTATIONS[index].tolist(),
            "t": TRANSLATIONS[index].tolist(),
        }
        for index, name in enumerate(NAMES)
    ]


def written(folder: Path, content: object) -> Path:
    path = folder / "cameras_gt.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_cameras_are_read_back_unchanged(tmp_path: Path) -> None:
    cameras = read_cameras(written(tmp_path, entries()), NAMES)

    assert list(cameras) == ["a.jpg", "b.jpg", "c.jpg"]
    for camera, rotation, translation in zip(
        cameras.values(), ROTATIONS, TRANSLATIONS, strict=True
    ):
        np.testing.assert_allclose(camera.camera_from_world[:3, :3], rotation, atol=1e-12)
        np.testing.assert_array_equal(camera.camera_from_world[:3, 3], translation)
        assert camera.size == (600, 400)
    assert cameras["c.jpg"].camera_model == CameraModel(
        model="PINHOLE", params=(502.0, 510.0, 301.5, 199.0)
    )


def test_rotations_written_with_few_digits_become_orthonormal(tmp_path: Path) -> None:
    rounded = entries()
    for entry in rounded:
        entry["R"] = np.round(entry["R"], 4).tolist()
    cameras = read_cameras(written(tmp_path, rounded), NAMES)
    for camera, expected in zip(cameras.values(), ROTATIONS, strict=True):
        rotation = camera.camera_from_world[:3, :3]
        np.testing.assert_allclose(rotation, expected, atol=1e-3)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)


@pytest.mark.parametrize("size", [(300, 200), (150, 101), (600, 400)])
def test_a_reduced_photo_keeps_its_projection(tmp_path: Path, size: tuple[int, int]) -> None:
    camera = read_cameras(written(tmp_path, entries()), NAMES)["c.jpg"]
    lens = camera_model_of_photo(camera, "c.jpg", (600, 400), size)
    whole = np.array([[502.0, 0.0, 301.5], [0.0, 510.0, 199.0], [0.0, 0.0, 1.0]])
    point = np.array([0.3, -0.2, 2.0])
    share_of_the_whole = (whole @ point / 2.0)[:2] / (600, 400)
    np.testing.assert_allclose((lens.intrinsics @ point / 2.0)[:2] / size, share_of_the_whole)


def test_a_camera_made_for_larger_copies_of_the_photos_is_scaled(tmp_path: Path) -> None:
    camera = read_cameras(written(tmp_path, entries()), NAMES)["c.jpg"]
    lens = camera_model_of_photo(camera, "c.jpg", (300, 200), (150, 100))
    assert lens.params == pytest.approx((125.5, 127.5, 75.375, 49.75))


def changed(index: int, **fields: object) -> list[Entry]:
    content = entries()
    content[index].update(fields)
    return content


def without(index: int, field: str) -> list[Entry]:
    content = entries()
    del content[index][field]
    return content


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[{", r"cameras_gt.json: invalid json"),
        ("", r"cameras_gt.json is empty"),
        ("[" * 100_000, r"cameras_gt.json: invalid json"),
        ({"frames": []}, r"cameras_gt.json: input should be a valid (array|list)"),
        ([], r"lists no camera"),
        (without(1, "fy"), r"entry 1, fy: field required"),
        (changed(2, R=[[1, 0, 0], [0, 1, 0]]), r"entry 2, R\.2: field required"),
        (
            changed(2, R=[1, 0, 0, 0, 1, 0, 0, 0, 1]),
            r"entry 2, R: tuple should have at most 3 items",
        ),
        (changed(0, t=[1, 2, 3, 4]), r"entry 0, t: tuple should have at most 3 items"),
        (changed(0, t=[1, 2, float("nan")]), r"entry 0, t\.2: input should be a finite number"),
        (changed(0, fx="500"), r"entry 0, fx: input should be a valid number"),
        (changed(0, fx=-500.0), r"entry 0, fx: input should be greater than 0"),
        (changed(0, width=0), r"entry 0, width: input should be greater than 0"),
        (changed(0, width=600.5), r"entry 0, width: input should be a valid integer"),
        (changed(1, image="z.jpg"), r"entry 1 is the camera of 'z.jpg', which is none of the 3"),
        (changed(2, image="a.jpg"), r"entries 0 and 2 are both the camera of 'a.jpg'"),
        (
            changed(1, R=(2 * ROTATIONS[1]).tolist()),
            r"R of entry 1 \('b.jpg'\) is no rotation \(R R\^T is 3 away from I, det R = 8\)",
        ),
        (
            changed(1, R=(-ROTATIONS[1]).tolist()),
            r"R of entry 1 \('b.jpg'\) is no rotation .*det R = -1\)",
        ),
    ],
)
def test_invalid_camera_files_are_refused_by_entry_and_field(
    tmp_path: Path, content: object, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        read_cameras(written(tmp_path, content), NAMES)


def test_camera_files_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cameras_gt.json").write_bytes(b"[\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cameras_gt.json: invalid json"):
        read_cameras(tmp_path / "cameras_gt.json", NAMES)


def test_a_folder_or_dangling_link_in_place_of_a_camera_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cameras_gt.json").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"cameras_gt.json cannot be read: No such file"):
        read_cameras(tmp_path / "cameras_gt.json", NAMES)


def test_a_camera_of_another_aspect_ratio_is_refused(tmp_path: Path) -> None:
    camera = read_cameras(written(tmp_path, entries()), NAMES)["b.jpg"]
    with pytest.raises(
        InputError, match=r"'b.jpg' \(entry 1\) is for 600x400 pixels and the photo has 400x600"
    ):
        camera_model_of_photo(camera, "b.jpg", (400, 600), (400, 600))


VIDEOS = [Path("walk.mp4"), Path("run.mp4")]


def test_entries_of_a_video_name_their_frame_by_its_index(tmp_path: Path) -> None:
    content = entries()
    content[0] |= {"frame": 7, "video": "walk.mp4"}
    content[1] |= {"frame": 0, "video": "run.mp4"}
    content[2]["image"] = "run_000012.png"
    cameras = read_cameras(written(tmp_path, content), [], VIDEOS)
    assert list(cameras) == ["walk_000007.png", "run_000000.png", "run_000012.png"]
    np.testing.assert_array_equal(
        cameras["run_000000.png"].camera_from_world[:3, 3], TRANSLATIONS[1]
    )


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, r"entry 0 is the camera of 'a.jpg', which is no frame of a video \(walk_000000.png"),
        ({"frame": 3}, r"of frame 3 of the video None, and the videos are walk.mp4, run.mp4"),
        ({"frame": 3, "video": "x.mp4"}, r"of frame 3 of the video x.mp4, and the videos are"),
        ({"frame": -1}, r"entry 0, frame: input should be greater than or equal to 0"),
    ],
)
def test_entries_that_name_no_frame_are_refused(
    tmp_path: Path, fields: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        read_cameras(written(tmp_path, changed(0, **fields)), [], VIDEOS)


def test_depth_maps_are_found_by_stem(tmp_path: Path) -> None:
    maps = [tmp_path / "a.png", tmp_path / "c.png", tmp_path / "unused.png"]
    assert depth_by_photo(maps, NAMES) == {"a.jpg": maps[0], "c.jpg": maps[1]}
    assert depth_by_photo([], NAMES) == {}


def test_depth_maps_that_match_no_photo_or_two_photos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of the 1 maps in depth/ \('frame1.png', ...\)"):
        depth_by_photo([tmp_path / "frame1.png"], NAMES)
    with pytest.raises(InputError, match=r"depth/a.png could belong to 'a.jpg' and to 'a.png'"):
        depth_by_photo([tmp_path / "a.png"], ["a.jpg", "a.png"])


MILLIMETRES = np.random.default_rng(0).integers(0, 65_536, (24, 36), dtype=np.uint16)


def test_depth_maps_keep_their_values_and_resolution(tmp_path: Path) -> None:
    Image.fromarray(MILLIMETRES).save(tmp_path / "a.png")
    depth = read_depth(tmp_path / "a.png", (600, 400), 10_000)
    assert depth.dtype == np.uint16
    np.testing.assert_array_equal(depth, MILLIMETRES)


@pytest.mark.parametrize("photo_size", [(600, 400), (599, 400), (37, 25), (3, 2)])
def test_an_aspect_ratio_within_rounding_is_accepted(
    tmp_path: Path, photo_size: tuple[int, int]
) -> None:
    Image.fromarray(MILLIMETRES).save(tmp_path / "a.png")
    assert read_depth(tmp_path / "a.png", photo_size, 10_000).shape == (24, 36)


@pytest.mark.parametrize("photo_size", [(400, 600), (640, 400), (600, 450)])
def test_depth_of_another_aspect_ratio_is_refused(
    tmp_path: Path, photo_size: tuple[int, int]
) -> None:
    Image.fromarray(MILLIMETRES).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"depth/a.png does not fit: it has 36x24 pixels"):
        read_depth(tmp_path / "a.png", photo_size, 10_000)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_depth_that_is_not_16_bit_is_refused(
    tmp_path: Path, textured: Callable[..., np.ndarray], mode: str
) -> None:
    Image.fromarray(textured(36, 24)).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=f"depth/a.png is not a depth map: .* mode {mode}"):
        read_depth(tmp_path / "a.png", (36, 24), 10_000)


def test_truncated_depth_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(MILLIMETRES).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"depth/a.png is truncated or broken"):
        read_depth(path, (36, 24), 10_000)
