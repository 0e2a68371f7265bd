"""``transforms.json``: cameras as nerfstudio, instant-ngp and the Blender scenes give them.

Poses are used as they stand: a scale or turn that a tool applied to its scene before it wrote the
file (``applied_transform``, ``applied_scale``) is not undone, so the world is the file's.

Source: nerfstudio's documentation, "Data conventions"; instant-ngp's ``nerf_dataset_tips``; the
transforms files of Mildenhall et al., ECCV 2020.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from pydantic import ValidationError as SchemaError

from tasks.cameras import CameraModel
from tasks.errors import InputError
from tasks.ingest.colmap_model import camera_model
from tasks.ingest.decode import read_whole
from tasks.ingest.given import FieldOfView, GivenCamera, Size, rigid

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Their cameras look along -z with y up."""

FISHEYE_MODELS = frozenset({"OPENCV_FISHEYE", "FISHEYE"})
PERSPECTIVE_MODELS = frozenset(
    {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV"}
)

PositiveFloat = Annotated[FiniteFloat, Field(gt=0)]
Angle = Annotated[FiniteFloat, Field(gt=0, lt=math.pi)]
Row = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _Intrinsics(BaseModel):
    """Given once for all frames, or by a frame for itself; further fields are not ours."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    camera_model: str | None = None
    is_fisheye: bool = False
    camera_angle_x: Angle | None = None
    fl_x: PositiveFloat | None = None
    fl_y: PositiveFloat | None = None
    cx: FiniteFloat | None = None
    cy: FiniteFloat | None = None
    w: PositiveFloat | None = None
    h: PositiveFloat | None = None
    k1: FiniteFloat = 0.0
    k2: FiniteFloat = 0.0
    k3: FiniteFloat = 0.0
    k4: FiniteFloat = 0.0
    p1: FiniteFloat = 0.0
    p2: FiniteFloat = 0.0


class _Frame(_Intrinsics):
    file_path: str = Field(min_length=1)
    transform_matrix: tuple[Row, Row, Row] | tuple[Row, Row, Row, Row]
    """World from camera, OpenGL axes."""
    mask_path: str | None = None


class _Transforms(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    frames: list[dict[str, Any]] = Field(min_length=1)


def read_transforms(paths: Sequence[Path]) -> list[GivenCamera]:
    """The cameras of one file, or of the several that the Blender scenes come in.

    Raises:
        InputError: a file cannot be read or parsed, a field is missing or of the wrong shape, a
            rotation is none, or a camera model is not supported.
        MachineError: the machine failed to read it.
    """
    return [camera for path in paths for camera in _cameras(path)]


def _cameras(path: Path) -> list[GivenCamera]:
    content = read_whole(path, path.name)
    try:
        transforms = _Transforms.model_validate_json(content)
    except SchemaError as error:
        raise InputError(_schema_message(path, "", error)) from error
    shared = transforms.model_extra or {}
    return [_camera(path, index, shared, own) for index, own in enumerate(transforms.frames)]


def _camera(
    path: Path, index: int, shared: Mapping[str, Any], own: Mapping[str, Any]
) -> GivenCamera:
    where = f"frame {index} of {path.name}"
    try:
        frame = _Frame.model_validate({**shared, **own})
    except SchemaError as error:
        raise InputError(_schema_message(path, f"frame {index}, ", error)) from error
    model = _camera_model(frame, where)
    size = _size(frame)
    return GivenCamera(
        image=frame.file_path.replace("\\", "/"),
        where=where,
        camera_from_world=_camera_from_world(frame, f"transform_matrix of {where}"),
        camera_model=model,
        size=size,
        mask=None if frame.mask_path is None else PurePosixPath(frame.mask_path.replace("\\", "/")),
    )


def _camera_from_world(frame: _Frame, what: str) -> Float64[np.ndarray, "4 4"]:
    given = np.array(frame.transform_matrix[:3])
    world_from_camera = rigid(given[:, :3], given[:, 3], what) @ OPENCV_FROM_OPENGL
    rotation = world_from_camera[:3, :3].T
    camera_from_world = np.eye(4)
    camera_from_world[:3, :3] = rotation
    camera_from_world[:3, 3] = -rotation @ world_from_camera[:3, 3]
    return camera_from_world


def _size(frame: _Frame) -> Size | None:
    return None if frame.w is None or frame.h is None else (round(frame.w), round(frame.h))


def _camera_model(frame: _Frame, where: str) -> CameraModel | FieldOfView:
    fisheye = frame.is_fisheye or frame.camera_model in FISHEYE_MODELS
    if not fisheye and frame.camera_model not in {None, *PERSPECTIVE_MODELS}:
        raise InputError(
            f"{where} has the camera_model {frame.camera_model}, and read are "
            f"{', '.join(sorted(PERSPECTIVE_MODELS | FISHEYE_MODELS))}; undistort the photos"
        )
    distortion = (frame.k1, frame.k2, frame.k3, frame.k4, frame.p1, frame.p2)
    if frame.fl_x is None or frame.w is None or frame.h is None:
        if frame.camera_angle_x is None or fisheye or any(distortion):
            raise InputError(
                f"{where} has neither fl_x, w and h (pixels) nor camera_angle_x without "
                "distortion, so its intrinsics are unknown; add them"
            )
        return FieldOfView(x_rad=frame.camera_angle_x)
    middle = (
        frame.fl_x,
        frame.fl_x if frame.fl_y is None else frame.fl_y,
        0.5 * frame.w if frame.cx is None else frame.cx,
        0.5 * frame.h if frame.cy is None else frame.cy,
    )
    if fisheye:
        return CameraModel(
            model="OPENCV_FISHEYE", params=(*middle, frame.k1, frame.k2, frame.k3, frame.k4)
        )
    if frame.k4:
        raise InputError(
            f"{where} has k4 = {frame.k4:g}, the coefficient of r^8 that no camera model of COLMAP "
            "has; undistort the photos"
        )
    radial = (frame.k1, frame.k2, frame.p1, frame.p2)
    if frame.k3:
        return camera_model("FULL_OPENCV", (*middle, *radial, frame.k3, 0.0, 0.0, 0.0))
    return camera_model("OPENCV", (*middle, *radial))


def _schema_message(path: Path, frame: str, error: SchemaError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if not str(part).startswith("tuple["))
    return (
        f"{path}: {frame}{field + ': ' if field else ''}{first['msg'].lower()}, and the file must "
        "be {fl_x, fl_y, cx, cy, w, h, frames: [{file_path, transform_matrix}]} or {camera_angle_x,"
        " frames}; correct or remove it"
    )
