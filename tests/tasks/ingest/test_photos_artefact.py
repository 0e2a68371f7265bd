import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from storage.store import Store
from tasks.errors import InputError
from tasks.ingest.artefact import Photos, write_photos
from tasks.ingest.config import IngestConfig
from tests.support.ingested import InMemory, ingested
from tests.support.real_scenes import scene_folder

Textured = Callable[..., np.ndarray]


def camera_of(name: str, width: int = 64, height: int = 48) -> dict[str, Any]:
    return {
        "image": name,
        "width": width,
        "height": height,
        "fx": 60.0,
        "fy": 62.0,
        "cx": 31.0,
        "cy": 25.0,
        "R": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
        "t": [1, 2, float(ord(name[0]))],
    }


@pytest.fixture
def full_scene(scene: Path, textured: Textured) -> Path:
    """Four photos, one of them bad; cameras of two and of the bad one; depth of one."""
    (scene / "b.png").write_bytes(b"damaged")
    exif = Image.Exif()
    exif.update({Base.Make: "Maker", Base.Model: "One"})
    exif.get_ifd(IFD.Exif).update({Base.FocalLengthIn35mmFilm: 28})
    exif.get_ifd(IFD.GPSInfo).update(
        {
            GPS.GPSLatitude: (46.0, 30.0, 0.0),
            GPS.GPSLatitudeRef: "N",
            GPS.GPSLongitude: (7.0, 15.0, 0.0),
            GPS.GPSLongitudeRef: "W",
        }
    )
    Image.fromarray(textured(200, 160, 7)).save(scene / "e.png", exif=exif)
    cameras = [camera_of("e.png", 200, 160), camera_of("b.png"), camera_of("a.png")]
    (scene / "cameras_gt.json").write_text(json.dumps(cameras))
    (scene / "depth").mkdir()
    depth = np.arange(32 * 24, dtype=np.uint16).reshape(24, 32)
    Image.fromarray(depth).save(scene / "depth" / "d.png")
    return scene


def test_stored_photos_are_read_back_unchanged(full_scene: Path, textured: Textured) -> None:
    photos, stored = ingested(full_scene, IngestConfig(max_size=100))

    assert photos.names == ("a.png", "c.png", "d.png", "e.png")
    assert len(photos) == 4
    np.testing.assert_array_equal(photos.pixels(1), textured(64, 48, 2))
    last = photos.infos[3]
    assert (last.source_size, last.size) == ((200, 160), (100, 80))
    assert photos.pixels(3).shape == (80, 100, 3)
    assert last.camera == "Maker|One|||28|200x160"
    assert last.focal_px == pytest.approx(28 / np.hypot(36, 24) * np.hypot(100, 80))
    assert last.gps == (46.5, -7.25, None)
    assert photos.infos[0].focal_px is None
    assert [(each.name, each.reason.split(":")[0]) for each in photos.rejected] == [
        ("b.png", "is not an image")
    ]
    assert set(stored.arrays) == {
        "photo_0000",
        "photo_0001",
        "photo_0002",
        "depth_0002",
        "photo_0003",
        "reference_camera_from_world",
        "reference_intrinsics",
    }


def test_depth_is_read_back_in_metres(full_scene: Path) -> None:
    photos, _ = ingested(full_scene)
    assert photos.depth_names == ("d.png",)
    expected = np.arange(32 * 24).reshape(24, 32) / 1000.0
    np.testing.assert_allclose(photos.depth_m("d.png"), expected, rtol=1e-6)


def test_reference_cameras_match_the_accepted_photos(full_scene: Path) -> None:
    photos, _ = ingested(full_scene, IngestConfig(max_size=100))
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("a.png", "e.png")
    np.testing.assert_array_equal(cameras.sizes, [[64, 48], [100, 80]])
    np.testing.assert_allclose(np.diag(cameras.intrinsics[0]), [60.0, 62.0, 1.0])
    np.testing.assert_allclose(np.diag(cameras.intrinsics[1]), [30.0, 31.0, 1.0])
    # The centre is -R^T t, and R^T takes (1, 2) to (2, -1).
    np.testing.assert_allclose(cameras.centres, [[-2, 1, -ord("a")], [-2, 1, -ord("e")]])


def test_a_scene_without_sidecars_has_no_cameras_and_no_depth(scene: Path) -> None:
    photos, stored = ingested(scene)
    assert photos.reference() is None
    assert photos.depth_names == ()
    assert set(stored.arrays) == {f"photo_{index:04d}" for index in range(4)}


def test_the_photos_artefact_is_read_back_from_the_store_unchanged(
    full_scene: Path, tmp_path: Path
) -> None:
    expected, _ = ingested(full_scene)

    with Store(root=str(tmp_path / "store")).writer("attic", "photos") as out:
        handle = out.commit(write_photos(out, full_scene, IngestConfig()))

    photos = Photos(handle)
    assert photos.infos == expected.infos
    for index in range(len(expected)):
        np.testing.assert_array_equal(photos.pixels(index), expected.pixels(index))
    np.testing.assert_array_equal(photos.depth_m("d.png"), expected.depth_m("d.png"))
    cameras, expected_cameras = photos.reference(), expected.reference()
    assert cameras is not None
    assert expected_cameras is not None
    np.testing.assert_array_equal(cameras.camera_from_world, expected_cameras.camera_from_world)


def test_wrong_cameras_are_refused_before_any_photo_is_decoded(full_scene: Path) -> None:
    (full_scene / "cameras_gt.json").write_text("[{}]")
    out = InMemory()
    with pytest.raises(InputError, match=r"cameras_gt.json: entry 0, width: field required"):
        write_photos(out, full_scene, IngestConfig())
    assert not out.arrays


def test_cameras_of_another_aspect_ratio_are_refused(full_scene: Path) -> None:
    (full_scene / "cameras_gt.json").write_text(json.dumps([camera_of("a.png", 640, 400)]))
    with pytest.raises(InputError, match=r"'a.png' \(entry 0\) is for 640x400 pixels"):
        ingested(full_scene)


def test_real_cameras_match_the_file() -> None:
    folder = scene_folder("fountain_p11")
    photos, _ = ingested(folder, IngestConfig(max_size=480))
    cameras = photos.reference()
    assert cameras is not None
    assert len(photos) == len(cameras) == 11
    for index, entry in enumerate(json.loads((folder / "cameras_gt.json").read_text())):
        assert cameras.names[index] == entry["image"]
        centre = -np.array(entry["R"]).T @ np.array(entry["t"])
        np.testing.assert_allclose(cameras.centres[index], centre, atol=1e-4)
        focal = cameras.intrinsics[index, 0, 0]
        assert focal == pytest.approx(entry["fx"] / 2)


def test_real_depth_agrees_with_the_real_cameras() -> None:
    """A surface point that one photo measures has, in the next, the depth measured there."""
    photos, _ = ingested(scene_folder("hololens_a"))
    cameras = photos.reference()
    assert cameras is not None
    assert photos.depth_names == photos.names
    assert len(photos) == 40
    here, there = photos.depth_m(photos.names[4]), photos.depth_m(photos.names[5])
    y, x = np.nonzero(here)
    pixels = np.stack([x + 0.5, y + 0.5, np.ones(len(x))])
    seen_here = np.linalg.inv(cameras.intrinsics[4]) @ pixels * here[y, x]
    world = cameras.world_from_camera[4] @ np.vstack([seen_here, np.ones(len(x))])
    seen_there = (cameras.camera_from_world[5] @ world)[:3]
    u, v, w = cameras.intrinsics[5] @ seen_there
    column, row = np.floor(u / w).astype(int), np.floor(v / w).astype(int)
    height, width = there.shape
    visible = (w > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    measured, predicted = there[row[visible], column[visible]], seen_there[2][visible]
    known = measured > 0
    assert known.sum() > 20_000
    assert np.median(np.abs(predicted[known] / measured[known] - 1.0)) < 0.05


def test_real_focal_lengths_and_positions_are_read_from_exif() -> None:
    sceaux, _ = ingested(scene_folder("sceaux"))
    # Calibrated: 908.1 px at this size. EXIF rounds to whole millimetres, here 35.
    assert [info.focal_px for info in sceaux.infos] == [pytest.approx(908.1, rel=0.03)] * 11
    drone, _ = ingested(scene_folder("brighton_drone"))
    positions = np.array([info.gps for info in drone.infos], dtype=float)
    # Brighton Beach stands in Duluth, Minnesota, on Lake Superior (183 m above the sea).
    np.testing.assert_allclose(positions[:, :2], [[46.84, -91.99]] * 18, atol=0.02)
    assert (positions[:, 2] > 183).all()
    monstree, _ = ingested(scene_folder("monstree"))
    assert len({info.camera for info in monstree.infos}) == 2
    banana, _ = ingested(scene_folder("banana"))
    assert len({info.camera for info in banana.infos}) == 1
