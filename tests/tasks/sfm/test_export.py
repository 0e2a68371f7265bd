"""Exports, read back by other readers: pycolmap, one written here, and our own ingest."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras
from tasks.errors import InputError, MachineError
from tasks.sfm.artefact import poses_of, source_photos
from tasks.sfm.config import SfmConfig
from tasks.sfm.export.colmap import write_colmap
from tasks.sfm.export.transforms import write_transforms
from tasks.sfm.triangulate import Observations
from tests.support.ingested import ingested
from tests.tasks.sfm.conftest import projected

NAMES = ("a b.jpg", "ünï.png", "c.jpg", "c.PNG", "frames__last.jpeg")
FILES = ("a b.png", "ünï.png", "c.jpg.png", "c.PNG.png", "frames__last.png")
N_POINTS = 40


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    """Two sizes, three sets of intrinsics, any rotation and place."""
    rng = np.random.default_rng(1)
    n = len(NAMES)
    camera_from_world = np.tile(np.eye(4), (n, 1, 1))
    camera_from_world[:, :3, :3] = Rotation.random(n, rng=rng).as_matrix()
    camera_from_world[:, :3, 3] = rng.normal([0, 0, 20], 2, (n, 3))
    intrinsics = np.tile(np.eye(3), (n, 1, 1))
    for k, (fx, fy, cx, cy) in zip(
        intrinsics,
        [(80, 81, 30, 20), (80, 81, 30, 20), (90, 91, 31, 21), (80, 81, 30, 20), (70, 70, 20, 31)],
        strict=True,
    ):
        k[[0, 1, 0, 1], [0, 1, 2, 2]] = fx + 0.123, fy, cx, cy
    sizes = np.array([[60, 40]] * 4 + [[40, 60]], dtype=np.int64)
    return Cameras(
        names=NAMES, camera_from_world=camera_from_world, intrinsics=intrinsics, sizes=sizes
    )


@pytest.fixture(scope="module")
def photos(cameras: Cameras) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for w, h in cameras.sizes.tolist()]


@pytest.fixture(scope="module")
def masks(cameras: Cameras) -> list[np.ndarray | None]:
    rng = np.random.default_rng(3)
    found: list[np.ndarray | None] = [rng.random((h, w)) < 0.7 for w, h in cameras.sizes.tolist()]
    found[1] = None
    return found


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(4).uniform(-3, 3, (N_POINTS, 3))


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (N_POINTS, 3)).astype(np.float32) / 255


@pytest.fixture(scope="module")
def observations(cameras: Cameras, points: np.ndarray) -> Observations:
    """Each point in two to five photos, in no order, half a pixel right of where it is."""
    rng = np.random.default_rng(6)
    rows = [
        (point, photo)
        for point in range(N_POINTS)
        for photo in rng.choice(len(NAMES), rng.integers(2, 6), replace=False)
    ]
    point_index, photo_index = rng.permutation(np.array(rows)).astype(np.int32).T
    xy = projected(cameras, photo_index, points[point_index])
    xy[:, 0] += 0.5
    return Observations(point_index=point_index, photo_index=photo_index, xy=xy.astype(np.float32))


@pytest.fixture(scope="module")
def colmap(
    tmp_path_factory: pytest.TempPathFactory,
    cameras: Cameras,
    photos: list[np.ndarray],
    masks: list[np.ndarray | None],
    points: np.ndarray,
    colours: np.ndarray,
    observations: Observations,
) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "new" / "colmap"
    write_colmap(
        folder,
        cameras,
        photos,
        points=points,
        colours=colours,
        observations=observations,
        masks=masks,
    )
    return folder


@pytest.fixture(scope="module")
def transforms(
    tmp_path_factory: pytest.TempPathFactory,
    cameras: Cameras,
    photos: list[np.ndarray],
    masks: list[np.ndarray | None],
    points: np.ndarray,
    colours: np.ndarray,
) -> Path:
    folder = tmp_path_factory.mktemp("transforms")  # there already, and empty
    write_transforms(folder, cameras, photos, points=points, colours=colours, masks=masks)
    return folder


READ_WITH_PYCOLMAP = """
import json, sys, pycolmap
model = pycolmap.Reconstruction(sys.argv[1])
content = {
    "valid": model.is_valid(),
    "cameras": len(model.cameras),
    "error_px": model.compute_mean_reprojection_error(),
    "images": {
        image.name: {
            "pose": image.cam_from_world().matrix().tolist(),
            "k": model.camera(image.camera_id).calibration_matrix().tolist(),
            "model": model.camera(image.camera_id).model_name,
            "size": [model.camera(image.camera_id).width, model.camera(image.camera_id).height],
            "seen": [[p.point3D_id, *p.xy.tolist()] for p in image.points2D],
        }
        for image in model.images.values()
    },
    "points": {
        str(number): {
            "xyz": point.xyz.tolist(),
            "rgb": point.color.tolist(),
            "error": point.error,
            "track": [
                [model.image(e.image_id).name, *model.image(e.image_id).point2D(e.point2D_idx).xy]
                for e in point.track.elements
            ],
        }
        for number, point in model.points3D.items()
    },
}
json.dump(content, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def model(colmap: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What pycolmap reads, in a process of its own: it and Pillow do not get on in one."""
    answer = tmp_path_factory.mktemp("pycolmap") / "model.json"
    subprocess.run(
        [sys.executable, "-c", READ_WITH_PYCOLMAP, str(colmap / "sparse" / "0"), str(answer)],
        check=True,
    )
    content: dict[str, Any] = json.loads(answer.read_text())
    return content


def test_pycolmap_reads_the_cameras_of_a_colmap_export(
    model: dict[str, Any], cameras: Cameras
) -> None:
    assert model["valid"]
    assert model["cameras"] == 3
    assert set(model["images"]) == set(FILES)
    for index, file in enumerate(FILES):
        image = model["images"][file]
        assert image["model"] == "PINHOLE"
        np.testing.assert_allclose(
            image["pose"], cameras.camera_from_world[index, :3], rtol=1e-12, atol=1e-12
        )
        np.testing.assert_array_equal(image["k"], cameras.intrinsics[index])
        np.testing.assert_array_equal(image["size"], cameras.sizes[index])


def test_pycolmap_reads_the_points_and_tracks_of_a_colmap_export(
    model: dict[str, Any], points: np.ndarray, colours: np.ndarray, observations: Observations
) -> None:
    assert len(model["points"]) == N_POINTS
    seen = observations
    for number, point in model["points"].items():
        index = int(number) - 1
        np.testing.assert_array_equal(point["xyz"], points[index])
        np.testing.assert_array_equal(point["rgb"], np.round(255 * colours[index]))
        assert point["error"] == pytest.approx(0.5, abs=1e-4)
        expected = {
            (FILES[photo], *xy)
            for photo, xy in zip(
                seen.photo_index[seen.point_index == index],
                seen.xy[seen.point_index == index].astype(float).tolist(),
                strict=True,
            )
        }
        assert {tuple(element) for element in point["track"]} == expected
    assert model["error_px"] == pytest.approx(0.5, abs=1e-4)


def test_each_photo_of_a_colmap_export_lists_its_visible_points(
    model: dict[str, Any], observations: Observations
) -> None:
    for photo, file in enumerate(FILES):
        expected = set(observations.of_photos([photo]).point_index.tolist())
        assert {number - 1 for number, _, _ in model["images"][file]["seen"]} == expected


@pytest.mark.parametrize("form", ["colmap", "transforms"])
def test_exported_photos_and_masks_are_lossless(
    form: str,
    request: pytest.FixtureRequest,
    photos: list[np.ndarray],
    masks: list[np.ndarray | None],
) -> None:
    folder: Path = request.getfixturevalue(form)
    assert {path.name for path in (folder / "images").iterdir()} == set(FILES)
    for file, pixels, mask in zip(FILES, photos, masks, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(folder / "images" / file)), pixels)
        mask_file = folder / "masks" / f"{file}.png"
        if mask is not None:
            np.testing.assert_array_equal(np.asarray(Image.open(mask_file)), 255 * mask)
        elif form == "transforms":  # all photos have one or none has
            assert np.asarray(Image.open(mask_file)).min() == 255
        else:
            assert not mask_file.exists()


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and colours by the header's own description."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = [line.split() for line in header.decode().splitlines()]
    assert ["format", "binary_little_endian", "1.0"] in lines
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [(line[2], kinds[line[1]]) for line in lines if line[0] == "property"]
    count = next(int(line[2]) for line in lines if line[:2] == ["element", "vertex"])
    vertices = np.frombuffer(body, dtype=fields)
    assert len(vertices) == count
    return (
        np.stack([vertices[name] for name in "xyz"], axis=1),
        np.stack([vertices[name] for name in ("red", "green", "blue")], axis=1),
    )


def test_points_of_a_transforms_export_project_to_their_observations(
    transforms: Path, colours: np.ndarray, observations: Observations
) -> None:
    content = json.loads((transforms / "transforms.json").read_text(encoding="utf-8"))
    xyz, rgb = read_ply(transforms / content["ply_file_path"])
    np.testing.assert_array_equal(rgb, np.round(255 * colours))
    assert [frame["file_path"] for frame in content["frames"]] == [f"images/{f}" for f in FILES]
    for photo, frame in enumerate(content["frames"]):
        # A camera that looks along its -z with its y up, as nerfstudio defines it.
        matrix = np.array(frame["transform_matrix"])
        right, up, back, centre = matrix[:3].T
        here = observations.of_photos([photo])
        offset = xyz[here.point_index] - centre
        depth = -offset @ back
        x = frame["fl_x"] * (offset @ right) / depth + frame["cx"]
        y = -frame["fl_y"] * (offset @ up) / depth + frame["cy"]
        assert (depth > 0).all()
        np.testing.assert_allclose(
            here.xy - np.c_[x, y], np.tile([0.5, 0.0], (len(x), 1)), atol=1e-4
        )


@pytest.mark.parametrize("form", ["colmap", "transforms"])
def test_ingest_reads_an_export_back_as_given_cameras(
    form: str,
    request: pytest.FixtureRequest,
    cameras: Cameras,
    photos: list[np.ndarray],
    masks: list[np.ndarray | None],
) -> None:
    stored, _ = ingested(request.getfixturevalue(form))

    assert stored.reference_kind == form
    assert poses_of(stored, SfmConfig()) == "given"
    found = {photo.name: photo for photo in source_photos(stored)}
    assert set(found) == set(FILES)
    for index, file in enumerate(FILES):
        given = found[file].given
        assert given is not None
        np.testing.assert_allclose(
            given.camera_from_world, cameras.camera_from_world[index], rtol=1e-12, atol=1e-12
        )
        assert given.camera_model.model == "PINHOLE"
        np.testing.assert_allclose(
            given.camera_model.intrinsics, cameras.intrinsics[index], rtol=1e-15
        )
        np.testing.assert_array_equal(found[file].pixels, photos[index])
        mask, expected = found[file].mask, masks[index]
        if expected is not None:
            np.testing.assert_array_equal(mask, expected)
        else:
            assert mask is None or mask.all()


def write_empty(folder: Path, photos: list[np.ndarray], cameras: Cameras) -> None:
    write_transforms(
        folder,
        cameras,
        photos,
        points=np.zeros((0, 3)),
        colours=np.zeros((0, 3), dtype=np.float32),
    )


def test_an_export_without_points_is_valid(
    tmp_path: Path, photos: list[np.ndarray], cameras: Cameras
) -> None:
    nothing = np.zeros(0, dtype=np.int32)
    write_colmap(
        tmp_path / "colmap",
        cameras,
        photos,
        points=np.zeros((0, 3)),
        colours=np.zeros((0, 3), dtype=np.float32),
        observations=Observations(
            point_index=nothing, photo_index=nothing, xy=np.zeros((0, 2), dtype=np.float32)
        ),
    )
    write_empty(tmp_path / "transforms", photos, cameras)

    assert (tmp_path / "colmap/sparse/0/points3D.bin").read_bytes() == bytes(8)
    assert len(read_ply(tmp_path / "transforms/sparse_pc.ply")[0]) == 0


def test_a_folder_that_is_not_empty_is_refused(
    tmp_path: Path, photos: list[np.ndarray], cameras: Cameras
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not an empty folder"):
        write_empty(tmp_path, photos, cameras)
    with pytest.raises(InputError, match="is not an empty folder"):
        write_empty(tmp_path / "mine.txt", photos, cameras)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


class WhileWriting(list[np.ndarray]):
    """Photos; ``happens`` is called when one is read for an export that has begun.

    Before that the check of the annotations reads one as well.
    """

    def __init__(self, photos: list[np.ndarray], root: Path, happens: Callable[[], None]) -> None:
        super().__init__(photos)
        self._root = root
        self._happens = happens

    def __getitem__(self, index: Any) -> Any:
        if any(self._root.glob(".*.partial")):
            self._happens()
        return super().__getitem__(index)


def test_an_interrupted_export_leaves_no_folder(
    tmp_path: Path, photos: list[np.ndarray], cameras: Cameras
) -> None:
    left: list[str] = []

    def interrupt() -> None:
        left.extend(path.name for path in tmp_path.iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_empty(tmp_path / "export", WhileWriting(photos, tmp_path, interrupt), cameras)

    (name,) = left  # what a kill at that moment would have left
    assert name.startswith(".export.")
    assert list(tmp_path.iterdir()) == []


def test_files_created_in_the_folder_during_the_export_are_kept(
    tmp_path: Path, photos: list[np.ndarray], cameras: Cameras
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()

    def intrude() -> None:
        (folder / "theirs.txt").write_text("theirs")

    with pytest.raises(MachineError, match="could not be written"):
        write_empty(folder, WhileWriting(photos, tmp_path, intrude), cameras)

    assert [path.name for path in folder.iterdir()] == ["theirs.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
