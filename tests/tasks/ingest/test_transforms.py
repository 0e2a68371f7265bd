import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.cameras import CameraModel
from tasks.errors import InputError
from tasks.ingest.config import IngestConfig
from tasks.ingest.source import digest_source, find_files
from tasks.ingest.transforms import read_transforms
from tests.support.ingested import ingested

Textured = Callable[..., np.ndarray]

# A camera 2 behind the origin on +z, 1 up; OpenGL looks along -z with y up, so it looks at z = 0.
WORLD_FROM_CAMERA = [[1.0, 0, 0, 3], [0, 1, 0, 1], [0, 0, 1, 2], [0, 0, 0, 1]]
# Turned by 90 degrees about the world's y: its right is the world's -z, its back the world's +x.
TURNED = [[0.0, 0, 1, 5], [0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]]

NERFSTUDIO: dict[str, Any] = {
    "camera_model": "OPENCV",
    "fl_x": 70.0,
    "fl_y": 71.0,
    "cx": 31.0,
    "cy": 25.0,
    "w": 64,
    "h": 48,
    "k1": 0.05,
    "k2": -0.01,
    "p1": 0.001,
    "p2": 0.002,
    "applied_transform": [[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]],
    "frames": [
        {"file_path": "images/a.png", "transform_matrix": WORLD_FROM_CAMERA},
        {"file_path": "./images/b.png", "transform_matrix": TURNED, "fl_x": 80.0, "k1": 0.0},
    ],
}


def written(folder: Path, content: object, name: str = "transforms.json") -> Path:
    (folder / name).write_text(json.dumps(content))
    return folder / name


@pytest.fixture
def in_images(scene: Path) -> Path:
    (scene / "images").mkdir()
    for name in ("a.png", "b.png", "c.png", "d.png"):
        (scene / name).rename(scene / "images" / name)
    return scene


def test_opengl_axes_become_opencv_axes(tmp_path: Path) -> None:
    ahead, turned = read_transforms([written(tmp_path, NERFSTUDIO)]).cameras
    # The point 2 in front of the first camera, 1 below it and 3 to its left is the origin.
    np.testing.assert_allclose(ahead.camera_from_world @ [0, 0, 0, 1], [-3, 1, 2, 1], atol=1e-12)
    # The second looks along the world's -x; the point (1, 2, 4) is 4 ahead, 2 above, 4 to the left.
    np.testing.assert_allclose(turned.camera_from_world @ [1, 2, 4, 1], [-4, -2, 4, 1], atol=1e-12)


def test_nerfstudio_lenses_are_read_with_their_overrides(tmp_path: Path) -> None:
    first, second = read_transforms([written(tmp_path, NERFSTUDIO)]).cameras
    assert isinstance(first.camera_model, CameraModel)
    assert isinstance(second.camera_model, CameraModel)
    assert first.camera_model.model == second.camera_model.model == "OPENCV"
    assert first.camera_model.params == (70.0, 71.0, 31.0, 25.0, 0.05, -0.01, 0.001, 0.002)
    assert second.camera_model.params == (80.0, 71.0, 31.0, 25.0, 0.0, -0.01, 0.001, 0.002)
    assert first.size == (64, 48)


@pytest.mark.parametrize(
    ("fields", "model", "params"),
    [
        ({"camera_model": "PINHOLE", "k1": 0, "k2": 0, "p1": 0, "p2": 0}, "PINHOLE", ()),
        ({"k3": 0.3}, "FULL_OPENCV", (0.05, -0.01, 0.001, 0.002, 0.3, 0, 0, 0)),
        (
            {"camera_model": "OPENCV_FISHEYE", "k3": 0.3, "k4": 0.4},
            "OPENCV_FISHEYE",
            (0.05, -0.01, 0.3, 0.4),
        ),
        ({"is_fisheye": True}, "OPENCV_FISHEYE", (0.05, -0.01, 0, 0)),
    ],
)
def test_camera_models_of_transforms_are_read(
    tmp_path: Path, fields: dict[str, Any], model: str, params: tuple[float, ...]
) -> None:
    lens = read_transforms([written(tmp_path, {**NERFSTUDIO, **fields})]).cameras[0].camera_model
    assert isinstance(lens, CameraModel)
    assert (lens.model, lens.params) == (model, (70.0, 71.0, 31.0, 25.0, *params))


def test_cameras_of_transforms_become_the_cameras_of_the_scene(in_images: Path) -> None:
    written(in_images, NERFSTUDIO)
    photos, _ = ingested(in_images)
    assert photos.reference_kind == "transforms"
    assert photos.names == ("a.png", "b.png", "c.png", "d.png")
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("a.png", "b.png")
    np.testing.assert_allclose(cameras.centres, [[3, 1, 2], [5, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(cameras.intrinsics[0], [[70, 0, 31], [0, 71, 25], [0, 0, 1]])


def test_missing_photos_named_in_transforms_are_reported(in_images: Path) -> None:
    frames = [*NERFSTUDIO["frames"], {"file_path": "images/z.png", "transform_matrix": TURNED}]
    written(in_images, {**NERFSTUDIO, "frames": frames})
    photos, _ = ingested(in_images)
    assert [each.name for each in photos.rejected] == ["z.png"]
    assert photos.rejected[0].reason == (
        "is missing: frame 2 of transforms.json gives its camera and no photo of the scene is "
        "called 'images/z.png'; add the photo"
    )


def test_masks_named_in_transforms_are_read_and_digested(in_images: Path) -> None:
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[:, 20:] = 255
    (in_images / "m").mkdir()
    Image.fromarray(mask).save(in_images / "m/one.png")
    frames = [{**NERFSTUDIO["frames"][0], "mask_path": "m/one.png"}, NERFSTUDIO["frames"][1]]
    written(in_images, {**NERFSTUDIO, "frames": frames})
    before = digest_source(in_images).digest
    photos, _ = ingested(in_images)
    assert photos.mask_names == ("a.png",)
    np.testing.assert_array_equal(photos.mask("a.png"), mask > 0)
    Image.fromarray(255 - mask).save(in_images / "m/one.png")
    assert digest_source(in_images).digest != before


@pytest.fixture
def blender(tmp_path: Path, textured: Textured) -> Path:
    """Two photos to train on and one to test on, a disc before nothing, as Blender's."""
    folder = tmp_path / "lego"
    y, x = np.mgrid[:40, :50]
    alpha = (255 * ((x - 25) ** 2 + (y - 20) ** 2 < 225)).astype(np.uint8)
    for part, count in (("train", 2), ("test", 1)):
        (folder / part).mkdir(parents=True)
        frames = []
        for index in range(count):
            colours = textured(50, 40, 3 * len(part) + index)
            Image.fromarray(np.dstack([colours, alpha])).save(folder / f"{part}/r_{index}.png")
            Image.fromarray(colours).save(folder / f"{part}/r_{index}_normal.png")
            pose = np.array(WORLD_FROM_CAMERA) + np.eye(4, k=3) * index
            frames.append({"file_path": f"./{part}/r_{index}", "transform_matrix": pose.tolist()})
        written(
            folder,
            {"camera_angle_x": 0.6911112070083618, "frames": frames},
            f"transforms_{part}.json",
        )
    return folder


def test_blender_scenes_are_read_with_all_their_photos(blender: Path) -> None:
    photos, _ = ingested(blender)
    assert photos.names == ("test__r_0.png", "train__r_0.png", "train__r_1.png")
    cameras = photos.reference()
    assert cameras is not None
    # 1111.11 px at 800 px, as everyone who uses these scenes knows.
    np.testing.assert_allclose(cameras.intrinsics[:, 0, 0], 1111.111 * 50 / 800, rtol=1e-5)
    np.testing.assert_array_equal(cameras.intrinsics[0, :2, 2], [25, 20])
    np.testing.assert_array_equal(photos.pixels(0)[0, 0], [255, 255, 255])
    assert photos.mask_names == ()


def test_background_and_mask_of_transparent_photos_are_configurable(blender: Path) -> None:
    photos, _ = ingested(blender, IngestConfig(background="black", alpha_as_mask=True))
    assert photos.pixels(0)[0, 0].tolist() == [0, 0, 0]
    with Image.open(blender / "train/r_0.png") as image:
        opaque = np.asarray(image)[..., 3] == 255
    np.testing.assert_array_equal(photos.mask("train__r_0.png"), opaque)


def without(*fields: str) -> dict[str, Any]:
    frames = [
        {key: value for key, value in frame.items() if key not in fields}
        for frame in NERFSTUDIO["frames"]
    ]
    return {**{key: NERFSTUDIO[key] for key in NERFSTUDIO if key not in fields}, "frames": frames}


def frame(**fields: object) -> dict[str, Any]:
    return {**NERFSTUDIO, "frames": [{**NERFSTUDIO["frames"][0], **fields}]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([], r"transforms.json: input should be an object"),
        ({"frames": []}, r"frames: list should have at least 1 item"),
        (without("fl_x", "fl_y"), r"frame 0 of transforms.json has neither fl_x \(pixels\) nor"),
        (
            {**without("fl_x", "fl_y"), "is_fisheye": True, "camera_angle_x": 1.0},
            r"frame 0 of transforms.json has neither fl_x \(pixels\) nor",
        ),
        (frame(file_path=None), r"frame 0, file_path: input should be a valid string"),
        (frame(transform_matrix=[[1, 0], [0, 1]]), r"frame 0, transform_matrix"),
        (frame(fl_x=-1), r"frame 0, fl_x: input should be greater than 0"),
        (frame(k4=0.1), r"frame 0 of transforms.json has k4 = 0.1, the coefficient of r\^8"),
        (frame(camera_model="EQUIRECTANGULAR"), r"has the camera_model EQUIRECTANGULAR"),
        (
            frame(transform_matrix=np.diag([-1.0, 1, 1, 1]).tolist()),
            r"transform_matrix of frame 0 of transforms.json is no rotation .* det R = -1",
        ),
        (frame(mask_path="../m.png"), r"names the mask '../m.png', which is not a path below"),
        (
            {**NERFSTUDIO, "frames": [NERFSTUDIO["frames"][0]] * 2},
            r"frame 1 of transforms.json and frame 0 of transforms.json are both of 'a.png'",
        ),
    ],
)
def test_invalid_transforms_are_refused(in_images: Path, content: object, complaint: str) -> None:
    written(in_images, content)
    with pytest.raises(InputError, match=complaint):
        find_files(in_images)


def intrinsics_of(folder: Path, content: object) -> np.ndarray:
    """Focal lengths and principal point of the first photo, pixels."""
    written(folder, content)
    cameras = ingested(folder)[0].reference()
    assert cameras is not None
    return cameras.intrinsics[0][[0, 1, 0, 1], [0, 1, 2, 2]]


def test_the_size_comes_from_the_photo_where_the_file_gives_none(in_images: Path) -> None:
    found = intrinsics_of(in_images, without("w", "h"))
    np.testing.assert_allclose(found, [70, 71, 31, 25])
    no_middle = without("w", "h", "cx", "cy")
    np.testing.assert_allclose(intrinsics_of(in_images, no_middle), [70, 71, 32, 24])


def test_angles_and_a_principal_point_alone_give_a_lens(in_images: Path) -> None:
    """90 degrees across 64 pixels are a focal length of 32; 2 atan(24 / 40) across 48 one of 40."""
    plain = without("fl_x", "fl_y", "w", "h", "cx", "cy", "k1", "k2", "p1", "p2")
    angle_x, angle_y = math.pi / 2, 2 * math.atan(24 / 40)
    for fields, expected in (
        ({"camera_angle_x": angle_x}, [32, 32, 32, 24]),
        ({"camera_angle_x": angle_x, "camera_angle_y": angle_y}, [32, 40, 32, 24]),
        ({"camera_angle_y": angle_y}, [40, 40, 32, 24]),
        ({"camera_angle_x": angle_x, "cx": 30.0}, [32, 32, 30, 24]),
        ({"camera_angle_x": angle_x, "cx": 30.0, "cy": 20.0}, [32, 32, 30, 20]),
        ({"camera_angle_x": angle_x, "w": 128, "h": 96, "cx": 60.0}, [32, 32, 30, 24]),
        ({"fl_y": 50.0}, [50, 50, 32, 24]),
    ):
        found = intrinsics_of(in_images, {**plain, **fields})
        np.testing.assert_allclose(found, expected, err_msg=str(fields))


def test_each_frame_may_have_its_own_lens(in_images: Path) -> None:
    """As Metashape's export has them: everything in the frames, and nothing for all."""
    frames = [
        {"file_path": "images/a.png", "transform_matrix": WORLD_FROM_CAMERA, "fl_x": 50.0},
        {"file_path": "images/b.png", "transform_matrix": TURNED, "fl_x": 60.0, "fl_y": 61.0},
    ]
    written(in_images, {"frames": frames})
    cameras = ingested(in_images)[0].reference()
    assert cameras is not None
    np.testing.assert_allclose(cameras.intrinsics[:, 0, 0], [50, 60])
    np.testing.assert_allclose(cameras.intrinsics[:, 1, 1], [50, 61])


def test_a_frame_that_is_not_finite_is_left_out_and_the_others_are_used(in_images: Path) -> None:
    broken = np.array(TURNED)
    broken[1, 3] = np.nan
    frames = [
        NERFSTUDIO["frames"][0],
        {"file_path": "images/b.png", "transform_matrix": broken.tolist()},
        {"file_path": "images/c.png", "transform_matrix": TURNED, "fl_x": math.inf},
    ]
    written(in_images, {**NERFSTUDIO, "frames": frames})
    photos, _ = ingested(in_images)
    assert photos.names == ("a.png", "d.png")
    assert [each.name for each in photos.rejected] == ["b.png", "c.png"]
    assert photos.rejected[0].reason.startswith("has a camera that is not finite: frame 1 of")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_transforms_with_a_byte_order_mark_are_read(in_images: Path, encoding: str) -> None:
    path = written(in_images, NERFSTUDIO)
    path.write_bytes(path.read_text().encode(encoding))
    assert ingested(in_images)[0].reference_kind == "transforms"


@pytest.mark.parametrize(
    "name",
    [
        "/home/someone/capture/images/a.png",
        r"C:\captures\attic\images\a.png",
        r"images\a.png",
        "../images/a.png",
        "images/A.PNG",
        "rgb/a.png",
        "images/a.jpg",
        "a.png",
    ],
)
def test_photos_that_were_called_otherwise_elsewhere_are_found_and_said(
    in_images: Path, name: str
) -> None:
    frames = [{**NERFSTUDIO["frames"][0], "file_path": name}, NERFSTUDIO["frames"][1]]
    written(in_images, {**NERFSTUDIO, "frames": frames})
    photos, stored = ingested(in_images)
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("a.png", "b.png")
    np.testing.assert_allclose(cameras.centres[0], [3, 1, 2], atol=1e-12)
    said = f"1 photos found under another name than their camera gives, such as '{name}' as "
    assert any(f"{said}images/a.png" in line for line in stored.attributes["used"])


def test_a_name_that_two_photos_could_have_finds_neither(
    in_images: Path, textured: Textured
) -> None:
    for index, side in enumerate(("cam0", "cam1")):
        (in_images / "images" / side).mkdir()
        Image.fromarray(textured(64, 48, 20 + index)).save(in_images / f"images/{side}/z.png")
    frames = [
        NERFSTUDIO["frames"][0],
        {"file_path": "/data/z.png", "transform_matrix": TURNED},
        {"file_path": "/data/cam1/z.png", "transform_matrix": TURNED},
        {"file_path": "cam2/b.png", "transform_matrix": TURNED},
        {"file_path": "cam3/b.png", "transform_matrix": TURNED},
    ]
    written(in_images, {**NERFSTUDIO, "frames": frames})
    photos, _ = ingested(in_images)
    cameras = photos.reference()
    assert cameras is not None
    assert cameras.names == ("a.png", "cam1__z.png")
    assert {each.name for each in photos.rejected} == {"data__z.png", "cam2__b.png", "cam3__b.png"}


def test_photos_that_tools_turned_upright_before_are_turned_to_fit_their_cameras(
    in_images: Path,
) -> None:
    """OpenCV turns photos by EXIF when it reads them, so cameras made with it are of those."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(in_images / "images/a.png") as image:
        upright = np.asarray(image)
        stored = image.transpose(Image.Transpose.ROTATE_90)
    stored.save(in_images / "images/a.png", exif=exif)
    written(in_images, NERFSTUDIO)
    photos, artefact = ingested(in_images)
    np.testing.assert_array_equal(photos.pixels(0), upright)
    cameras = photos.reference()
    assert cameras is not None
    np.testing.assert_allclose(cameras.intrinsics[0], [[70, 0, 31], [0, 71, 25], [0, 0, 1]])
    assert any("turned upright" in line and "a.png" in line for line in artefact.attributes["used"])


def test_photos_that_no_frame_names_are_said_to_have_no_camera(in_images: Path) -> None:
    written(in_images, NERFSTUDIO)
    _, stored = ingested(in_images)
    assert any("no camera is given for c.png, d.png" in line for line in stored.attributes["used"])
