import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.errors import InputError
from tasks.ingest.sidecars import cameras_of_photos, depth_by_photo, read_cameras, read_depth

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


def test_cameras_are_read_as_they_were_written(tmp_path: Path) -> None:
    cameras = read_cameras(written(tmp_path, entries()), NAMES)

    assert cameras.names == ("a.jpg", "b.jpg", "c.jpg")
    np.testing.assert_allclose(cameras.camera_from_world[:, :3, :3], ROTATIONS, atol=1e-12)
    np.testing.assert_array_equal(cameras.camera_from_world[:, :3, 3], TRANSLATIONS)
    np.testing.assert_array_equal(
        cameras.intrinsics[2], [[502.0, 0.0, 301.5], [0.0, 510.0, 199.0], [0.0, 0.0, 1.0]]
    )
    np.testing.assert_array_equal(cameras.sizes, [[600, 400]] * 3)


def test_rotations_written_with_few_digits_become_orthonormal(tmp_path: Path) -> None:
    rounded = entries()
    for entry in rounded:
        entry["R"] = np.round(entry["R"], 4).tolist()
    rotations = read_cameras(written(tmp_path, rounded), NAMES).camera_from_world[:, :3, :3]
    np.testing.assert_allclose(rotations, ROTATIONS, atol=1e-3)
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (3, 1, 1)), atol=1e-14
    )


def test_the_photos_kept_get_their_cameras_at_their_reduced_sizes(tmp_path: Path) -> None:
    cameras = read_cameras(written(tmp_path, entries()), NAMES)

    kept = cameras_of_photos(
        cameras,
        ["c.jpg", "other.jpg", "a.jpg"],
        dict.fromkeys(["c.jpg", "other.jpg", "a.jpg"], (600, 400)),
        {"c.jpg": (300, 200), "other.jpg": (600, 400), "a.jpg": (150, 101)},
    )

    assert kept.names == ("c.jpg", "a.jpg")
    np.testing.assert_array_equal(kept.sizes, [[300, 200], [150, 101]])
    point = np.array([0.3, -0.2, 2.0])
    for intrinsics, size, whole in zip(
        kept.intrinsics, kept.sizes, cameras.intrinsics[[2, 0]], strict=True
    ):
        share_of_the_whole = (whole @ point / 2.0)[:2] / (600, 400)
        np.testing.assert_allclose((intrinsics @ point / 2.0)[:2] / size, share_of_the_whole)


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
def test_wrong_files_are_refused_by_entry_and_field(
    tmp_path: Path, content: object, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        read_cameras(written(tmp_path, content), NAMES)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cameras_gt.json").write_bytes(b"[\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cameras_gt.json: invalid json"):
        read_cameras(tmp_path / "cameras_gt.json", NAMES)


def test_a_folder_or_a_dangling_link_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cameras_gt.json").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"cameras_gt.json cannot be read: No such file"):
        read_cameras(tmp_path / "cameras_gt.json", NAMES)


def test_a_camera_of_another_size_is_refused(tmp_path: Path) -> None:
    cameras = read_cameras(written(tmp_path, entries()), NAMES)
    sizes = {"a.jpg": (600, 400), "b.jpg": (400, 600)}
    with pytest.raises(
        InputError, match=r"'b.jpg' \(entry 1\) is for 600x400 pixels and the upright photo has 400"
    ):
        cameras_of_photos(cameras, ["a.jpg", "b.jpg"], sizes, sizes)


def test_depth_maps_are_found_by_stem(tmp_path: Path) -> None:
    maps = [tmp_path / "a.png", tmp_path / "c.png", tmp_path / "unused.png"]
    assert depth_by_photo(maps, NAMES) == {"a.jpg": maps[0], "c.jpg": maps[1]}
    assert depth_by_photo([], NAMES) == {}


def test_depth_maps_of_no_photo_or_of_two_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of the 1 maps in depth/ \('frame1.png', ...\)"):
        depth_by_photo([tmp_path / "frame1.png"], NAMES)
    with pytest.raises(InputError, match=r"depth/a.png could belong to 'a.jpg' and to 'a.png'"):
        depth_by_photo([tmp_path / "a.png"], ["a.jpg", "a.png"])


MILLIMETRES = np.random.default_rng(0).integers(0, 65_536, (24, 36), dtype=np.uint16)


def test_depth_keeps_its_levels_and_its_resolution(tmp_path: Path) -> None:
    Image.fromarray(MILLIMETRES).save(tmp_path / "a.png")
    depth = read_depth(tmp_path / "a.png", (600, 400), 10_000)
    assert depth.dtype == np.uint16
    np.testing.assert_array_equal(depth, MILLIMETRES)


@pytest.mark.parametrize("photo_size", [(600, 400), (599, 400), (37, 25), (3, 2)])
def test_the_rounding_of_an_edge_is_forgiven(tmp_path: Path, photo_size: tuple[int, int]) -> None:
    Image.fromarray(MILLIMETRES).save(tmp_path / "a.png")
    assert read_depth(tmp_path / "a.png", photo_size, 10_000).shape == (24, 36)


@pytest.mark.parametrize("photo_size", [(400, 600), (640, 400), (600, 450)])
def test_depth_of_another_shape_is_refused(tmp_path: Path, photo_size: tuple[int, int]) -> None:
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
