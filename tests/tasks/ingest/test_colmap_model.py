"""Models written by pycolmap itself, and scenes made of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.errors import InputError
from tasks.ingest.colmap_model import MODELS, camera_model, find_model, read_model
from tasks.ingest.config import IngestConfig
from tasks.ingest.given import GivenCamera
from tasks.ingest.source import digest_source, find_files
from tests.support.ingested import ingested

Textured = Callable[..., np.ndarray]

NAMES = ("a.png", "b.png", "c.png")
POSES = [
    pycolmap.Rigid3d(pycolmap.Rotation3d(matrix), translation)
    for matrix, translation in zip(
        Rotation.random(3, random_state=4).as_matrix(),
        np.random.default_rng(4).normal(size=(3, 3)),
        strict=True,
    )
]
AHEAD = np.array([0.0, 0.0, 1.5])
RADIAL = [70.0, 31.0, 25.0, 0.05, -0.01]


def parameters_of(model: str) -> list[float]:
    """A lens of 64x48 pixels whose distortion is small enough to be undone."""
    camera = pycolmap.Camera.create_from_model_name(1, model, 70.0, 64, 48)
    names = camera.params_info.split(", ")
    values = {"f": 70.0, "fx": 70.0, "fy": 72.0, "cx": 31.0, "cy": 25.0, "omega": 0.6}
    values |= {"alpha": 0.6, "beta": 1.1}
    return [values.get(name, 0.01 / (1 + index)) for index, name in enumerate(names)]


def write_model(
    folder: Path,
    names: tuple[str, ...] = NAMES,
    *,
    text: bool = False,
    model: str = "RADIAL",
    params: list[float] | None = None,
    size: tuple[int, int] = (64, 48),
) -> None:
    reconstruction = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        camera_id=3,
        model=model,
        width=size[0],
        height=size[1],
        params=RADIAL if params is None else params,
    )
    reconstruction.add_camera_with_trivial_rig(camera)
    for index, name in enumerate(names):
        points = np.random.default_rng(index).uniform(0, 48, (5 * index, 2))
        image = pycolmap.Image(name=name, keypoints=points, camera_id=3, image_id=10 + index)
        reconstruction.add_image_with_trivial_frame(image, POSES[index])
    folder.mkdir(parents=True, exist_ok=True)
    (reconstruction.write_text if text else reconstruction.write_binary)(str(folder))


def read(folder: Path) -> tuple[GivenCamera, ...]:
    files = find_model(folder)
    assert files is not None
    return read_model(*files).cameras


@pytest.mark.parametrize("text", [False, True])
def test_poses_sizes_and_names_match_those_written_by_pycolmap(tmp_path: Path, text: bool) -> None:
    names = ("a.png", "two words.png", "sub/ü.png")
    write_model(tmp_path, names, text=text)

    cameras = read(tmp_path)

    assert {camera.image for camera in cameras} == set(names)
    for camera in cameras:
        pose = POSES[names.index(camera.image)].matrix()
        np.testing.assert_allclose(camera.camera_from_world[:3], pose, atol=1e-12)
        assert camera.size == (64, 48)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("model", [name for name, _ in MODELS.values()])
def test_every_camera_model_projects_as_pycolmap_does(
    tmp_path: Path, model: str, text: bool
) -> None:
    params = parameters_of(model)
    write_model(tmp_path, model=model, params=params, text=text)

    lens = read(tmp_path)[0].camera_model

    original = pycolmap.Camera(model=model, width=64, height=48, params=params)
    ours = pycolmap.Camera(model=lens.model, width=64, height=48, params=list(lens.params))
    assert ours.params_info.startswith("fx, fy, cx, cy")
    directions = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 3)) + AHEAD
    np.testing.assert_allclose(
        ours.img_from_cam(directions), original.img_from_cam(directions), atol=1e-9
    )


@settings(max_examples=30)
@given(
    model=st.sampled_from([name for name, _ in MODELS.values()]),
    x=st.floats(0.1, 4.0),
    y=st.floats(0.1, 4.0),
)
def test_a_scaled_camera_model_projects_to_scaled_pixels(model: str, x: float, y: float) -> None:
    params = parameters_of(model)
    lens = camera_model(model, tuple(params)).scaled(x, y)
    original = pycolmap.Camera(model=model, width=64, height=48, params=params)
    scaled = pycolmap.Camera(model=lens.model, width=64, height=48, params=list(lens.params))
    directions = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3)) + AHEAD
    np.testing.assert_allclose(
        scaled.img_from_cam(directions), original.img_from_cam(directions) * [x, y], atol=1e-8
    )


def test_a_camera_model_without_distortion_is_a_pinhole() -> None:
    lens = camera_model("SIMPLE_RADIAL", (70.0, 31.0, 25.0, 0.0))
    assert (lens.model, lens.params) == ("PINHOLE", (70.0, 70.0, 31.0, 25.0))


@pytest.fixture
def modelled(scene: Path) -> Path:
    """Photos a to d in ``images/``; a model of a, b, and of one that is not there."""
    (scene / "images").mkdir()
    for name in ("a.png", "b.png", "c.png", "d.png"):
        (scene / name).rename(scene / "images" / name)
    write_model(scene / "sparse/0", ("a.png", "b.png", "gone.png"))
    return scene


def test_a_model_gives_the_reference_cameras(modelled: Path) -> None:
    photos, _ = ingested(modelled)

    assert photos.kind == "photos"
    assert photos.reference_kind == "colmap"
    assert photos.names == ("a.png", "b.png", "c.png", "d.png")
    assert [each.name for each in photos.rejected] == ["gone.png"]
    assert photos.rejected[0].reason.startswith("is missing: image 'gone.png' of 0/images.bin")
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("a.png", "b.png")
    np.testing.assert_allclose(cameras.camera_from_world[1, :3], POSES[1].matrix(), atol=1e-12)
    assert [lens.model for lens in photos.reference_models()] == ["OPENCV", "OPENCV"]
    np.testing.assert_allclose(
        photos.reference_models()[0].params, [70, 70, 31, 25, 0.05, -0.01, 0, 0]
    )


def test_reducing_photos_scales_their_intrinsics(modelled: Path) -> None:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        with Image.open(modelled / "images" / name) as image:
            image.resize((256, 192)).save(modelled / "images" / name)
    write_model(modelled / "sparse/0", size=(512, 384))
    photos, _ = ingested(modelled, IngestConfig(max_size=128))
    assert photos.infos[0].size == (128, 96)
    np.testing.assert_allclose(
        photos.reference_models()[0].params, [17.5, 17.5, 7.75, 6.25, 0.05, -0.01, 0, 0]
    )


@pytest.mark.parametrize("place", ["sparse", "colmap/sparse/0"])
def test_models_are_found_in_the_usual_subfolders(modelled: Path, place: str) -> None:
    shutil.move(modelled / "sparse/0", modelled / "elsewhere")
    (modelled / "sparse").rmdir()
    shutil.move(modelled / "elsewhere", modelled / place)
    assert find_files(modelled).reference_kind == "colmap"


def test_photos_in_subfolders_are_named_by_their_path(modelled: Path, textured: Textured) -> None:
    for index, side in enumerate(("left", "right")):
        (modelled / "images" / side).mkdir()
        picture = Image.fromarray(textured(64, 48, 20 + index))
        picture.save(modelled / "images" / side / "1.png")
    write_model(modelled / "sparse/0", ("left/1.png", "right/1.png", "a.png"))
    photos, _ = ingested(modelled)
    assert photos.names[-2:] == ("left__1.png", "right__1.png")
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("a.png", "left__1.png", "right__1.png")


def test_photos_of_a_model_are_not_rotated_by_exif(modelled: Path) -> None:
    """COLMAP does not look at EXIF orientation, so its cameras are those of the stored pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = modelled / "images/a.png"
    with Image.open(path) as image:
        image.save(path, exif=exif)
    bitmap = pycolmap.Bitmap.read(str(path), True)
    photos, _ = ingested(modelled)
    np.testing.assert_array_equal(photos.pixels(0), bitmap.to_array())


def test_the_first_of_several_references_is_used_and_the_others_are_reported(
    modelled: Path,
) -> None:
    frame = {"file_path": "images/a.png", "transform_matrix": np.eye(4).tolist()}
    (modelled / "transforms.json").write_text(
        json.dumps({"camera_angle_x": 1.0, "frames": [frame]})
    )
    photos, _ = ingested(modelled)
    assert (photos.reference_kind, photos.reference_ignored) == ("colmap", ("transforms.json",))
    entry = {"image": "c.png", "width": 64, "height": 48, "fx": 60.0, "fy": 60.0, "cx": 32.0}
    entry |= {"cy": 24.0, "R": np.eye(3).tolist(), "t": [0.0, 0.0, 0.0]}
    (modelled / "cameras_gt.json").write_text(json.dumps([entry]))
    photos, _ = ingested(modelled)
    assert photos.reference_kind == "cameras_gt"
    assert photos.reference_ignored == ("sparse/0", "transforms.json")


def test_the_digest_covers_cameras_and_images_and_not_points(modelled: Path) -> None:
    before = digest_source(modelled).digest
    (modelled / "sparse/0/points3D.bin").write_bytes(b"other")
    assert digest_source(modelled).digest == before
    write_model(modelled / "sparse/0", ("a.png", "b.png", "gone.png"), params=[71.0, *RADIAL[1:]])
    assert digest_source(modelled).digest != before


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
@settings(max_examples=40)
@given(share=st.floats(0.0, 0.999))
def test_truncated_models_are_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, share: float
) -> None:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=name):
        read(folder)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "cameras.txt", "images.txt"])
@settings(max_examples=40)
@given(place=st.floats(0.0, 0.999), junk=st.binary(min_size=1, max_size=8))
def test_a_damaged_model_is_refused_or_has_finite_cameras(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: float, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, text=name.endswith("txt"))
    content = bytearray((folder / name).read_bytes())
    start = int(place * len(content))
    content[start : start + len(junk)] = junk
    (folder / name).write_bytes(content)
    try:
        cameras = read(folder)
    except InputError:
        return
    assert all(np.isfinite(camera.camera_from_world).all() for camera in cameras)


@pytest.mark.parametrize(
    ("cameras", "images", "complaint"),
    [
        ("1 EQUIRECTANGULAR 64 32 64 32", "", r"cameras.txt gives camera 1 the model EQUIRECT"),
        ("1 PINHOLE 64 48 70 70 32", "", r"gives camera 1 3 parameters, and PINHOLE has 4"),
        ("1 PINHOLE 64 48 -7 70 32 24", "", r"gives camera 1 the size 64x48 and the parameters"),
        ("1 PINHOLE 64 48 x 70 32 24", "", r"cameras.txt is damaged \(could not convert"),
        ("1 PINHOLE", "", r"cameras.txt has the line '1 PINHOLE' with less than 4 fields"),
        ("1 PINHOLE 64 48 70 70 32 24", "1 1 0 0 0 0 0 0 2 a.png\n", r"has camera 2, which is"),
        ("1 PINHOLE 64 48 70 70 32 24", "1 0 0 0 0 0 0 0 1 a.png\n", r"is no rotation"),
    ],
)
def test_invalid_models_are_refused(
    tmp_path: Path, cameras: str, images: str, complaint: str
) -> None:
    (tmp_path / "cameras.txt").write_text(f"# cameras\n{cameras}\n")
    (tmp_path / "images.txt").write_text(f"# images\n{images}")
    with pytest.raises(InputError, match=complaint):
        read(tmp_path)


def test_a_model_that_names_files_outside_the_scene_reads_none_of_them(modelled: Path) -> None:
    """A photo of that name in the scene is meant: the model was made in another folder."""
    (modelled / "images/c.png").rename(modelled.parent / "c.png")
    write_model(modelled / "sparse/0", ("a.png", "../b.png", "../../c.png"))
    photos, _ = ingested(modelled)
    assert photos.names == ("a.png", "b.png", "d.png")
    assert [each.name for each in photos.rejected] == ["c.png"]
    assert "no photo of the scene is called '../../c.png'" in photos.rejected[0].reason


@pytest.mark.parametrize("text", [False, True])
def test_the_largest_of_several_models_is_taken_and_the_others_are_named(
    modelled: Path, text: bool
) -> None:
    write_model(modelled / "sparse/0", ("a.png", "b.png"))
    write_model(modelled / "sparse/1", ("b.png", "c.png", "d.png"), text=text)
    write_model(modelled / "sparse/10", ("a.png",), text=text)
    photos, stored = ingested(modelled)
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("b.png", "c.png", "d.png")
    assert photos.reference_ignored == ("sparse/0 (2 images)", "sparse/10 (1 images)")
    assert any("sparse/1 (3 cameras)" in line for line in stored.attributes["used"])


def test_a_model_of_a_rig_gives_each_of_its_cameras_its_photos(
    modelled: Path, textured: Textured
) -> None:
    """Two cameras that are fixed to each other, as ``rigs.bin`` and ``frames.bin`` have them."""
    rig = pycolmap.Rig(rig_id=1)
    model = pycolmap.Reconstruction()
    for camera_id, focal in ((1, 70.0), (2, 90.0)):
        lens = [focal, 32.0, 24.0]
        camera = pycolmap.Camera(
            camera_id=camera_id, model="SIMPLE_PINHOLE", width=64, height=48, params=lens
        )
        model.add_camera(camera)
    second = pycolmap.sensor_t(pycolmap.SensorType.CAMERA, 2)
    rig.add_ref_sensor(pycolmap.sensor_t(pycolmap.SensorType.CAMERA, 1))
    rig.add_sensor(second, POSES[2])
    model.add_rig(rig)
    frame = pycolmap.Frame(frame_id=1, rig_id=1)
    for image_id in (1, 2):
        frame.add_data_id(
            pycolmap.data_t(pycolmap.sensor_t(pycolmap.SensorType.CAMERA, image_id), image_id)
        )
    frame.rig_from_world = POSES[0]
    model.add_frame(frame)
    for image_id in (1, 2):
        name = f"cam{image_id}/1.png"
        path = modelled / "images" / name
        path.parent.mkdir()
        Image.fromarray(textured(64, 48, 30 + image_id)).save(path)
        image = pycolmap.Image(name=name, camera_id=image_id, image_id=image_id)
        image.frame_id = 1
        model.add_image(image)
    model.register_frame(1)
    model.write_binary(str(modelled / "sparse/0"))
    assert (modelled / "sparse/0/rigs.bin").is_file()

    photos, _ = ingested(modelled)

    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("cam1__1.png", "cam2__1.png")
    np.testing.assert_allclose(cameras.intrinsics[:, 0, 0], [70, 90])
    in_second = POSES[2].matrix() @ np.vstack([POSES[0].matrix(), [0, 0, 0, 1]])
    np.testing.assert_allclose(cameras.camera_from_world[1, :3], in_second, atol=1e-9)


@pytest.mark.parametrize("between", ["\n", "\n\n", "\n1 2 -1\n", "\n1 2 -1 3.5 4 7\n"])
def test_every_image_is_read_whatever_stands_for_its_observations(
    tmp_path: Path, between: str
) -> None:
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 64 48 70 70 32 24\n")
    lines = [f"{index} 1 0 0 0 {index} 0 0 1 {name}" for index, name in enumerate(NAMES)]
    (tmp_path / "images.txt").write_text(between.join(lines) + between)
    cameras = read(tmp_path)
    assert [camera.image for camera in cameras] == list(NAMES)
    assert [camera.camera_from_world[0, 3] for camera in cameras] == [0, 1, 2]


@pytest.mark.parametrize("number", ["nan", "-nan(ind)", "-1.#IND", "inf", "1.#QNAN0"])
@pytest.mark.parametrize("place", ["lens", "pose"])
def test_a_photo_whose_camera_is_not_finite_is_left_out_and_the_others_are_used(
    modelled: Path, number: str, place: str
) -> None:
    folder = modelled / "sparse/0"
    for file in folder.iterdir():
        file.unlink()
    lens, x = (number, "0") if place == "lens" else ("70", number)
    (folder / "cameras.txt").write_text(
        f"1 PINHOLE 64 48 70 70 32 24\n2 PINHOLE 64 48 {lens} 70 32 24\n"
    )
    (folder / "images.txt").write_text(
        f"1 1 0 0 0 0 0 0 1 a.png\n\n2 1 0 0 0 {x} 0 0 2 b.png\n\n3 1 0 0 0 1 0 0 1 c.png\n\n"
    )
    photos, _ = ingested(modelled)
    assert photos.names == ("a.png", "c.png", "d.png")
    assert [each.name for each in photos.rejected] == ["b.png"]
    assert photos.rejected[0].reason.startswith("has a camera that is not finite: image 'b.png'")
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("a.png", "c.png")


def test_text_models_with_byte_order_marks_and_carriage_returns_are_read(modelled: Path) -> None:
    shutil.rmtree(modelled / "sparse")
    write_model(modelled / "sparse/0", ("a.png", "b.png"), text=True)
    for file in (modelled / "sparse/0").glob("*.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    photos, _ = ingested(modelled)
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("a.png", "b.png")
