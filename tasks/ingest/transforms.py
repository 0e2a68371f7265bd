"""``transforms.json``: cameras as nerfstudio, instant-ngp and the Blender scenes give them.

Poses are used as they stand: a scale or turn that a tool applied to its scene before it wrote the
file (``applied_transform``, ``applied_scale``) is not undone, so the world is the file's.

Source: nerfstudio's documentation, "Data conventions"; instant-ngp's ``nerf_dataset_tips``; the
transforms files of Mildenhall et al., ECCV 2020.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from pydantic import ValidationError as SchemaError

from tasks.errors import InputError
from tasks.ingest.decode import read_whole
from tasks.ingest.given import (
    CameraOfAnySize,
    GivenCamera,
    GivenCameras,
    Size,
    UnusableCamera,
    not_finite,
    rigid,
)

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Their cameras look along -z with y up."""

FISHEYE_MODELS = frozenset({"OPENCV_FISHEYE", "FISHEYE"})
PERSPECTIVE_MODELS = frozenset(
    {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV"}
)

NOT_FINITE = "finite_number"
"""pydantic's name of the fault."""

PositiveFloat = Annotated[FiniteFloat, Field(gt=0)]
Angle = Annotated[FiniteFloat, Field(gt=0, lt=math.pi)]
Row = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _Intrinsics(BaseModel):
    """Given once for all frames, or by a frame for itself; further fields are not ours."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    camera_model: str | None = None
    is_fisheye: bool = False
    camera_angle_x: Angle | None = None
    camera_angle_y: Angle | None = None
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


def read_transforms(paths: Sequence[Path]) -> GivenCameras:
    """The cameras of one file, or of the several that the Blender scenes come in.

    A frame whose pose or lens is not finite is unusable, and spoils none of the others.

    Raises:
        InputError: a file cannot be read or parsed, a field is missing or of the wrong shape, a
            rotation is none, or a camera model is not supported.
        MachineError: the machine failed to read it.
    """
    return GivenCameras.of([camera for path in paths for camera in _cameras(path)])


def _cameras(path: Path) -> list[GivenCamera | UnusableCamera]:
    content = read_whole(path, path.name)
    try:
        transforms = _Transforms.model_validate_json(content)
    except SchemaError as error:
        raise InputError(_schema_message(path, "", error)) from error
    shared = transforms.model_extra or {}
    return [_camera(path, index, shared, own) for index, own in enumerate(transforms.frames)]


def _camera(
    path: Path, index: int, shared: Mapping[str, Any], own: Mapping[str, Any]
) -> GivenCamera | UnusableCamera:
    where = f"frame {index} of {path.name}"
    try:
        frame = _Frame.model_validate({**shared, **own})
    except SchemaError as error:
        image = own.get("file_path")
        # Of the two shapes of a matrix, each is tried.
        faults = {fault["type"] for fault in error.errors()} - {"too_long", "missing"}
        if isinstance(image, str) and faults == {NOT_FINITE}:
            return UnusableCamera(image=image, reason=not_finite(where))
        raise InputError(_schema_message(path, f"frame {index}, ", error)) from error
    model, size = _camera_model(frame, where), _size(frame)
    return GivenCamera(
        image=frame.file_path,
        where=where,
        camera_from_world=_camera_from_world(frame, f"transform_matrix of {where}"),
        camera_model=model if size is None else model.at(size),
        size=size,
        mask=frame.mask_path,
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


def _camera_model(frame: _Frame, where: str) -> CameraOfAnySize:
    model, distortion = _distortion(frame, where)
    if frame.fl_x is None and frame.fl_y is None:
        angles = (frame.camera_angle_x, frame.camera_angle_y)
        if angles == (None, None) or model == "OPENCV_FISHEYE":
            raise InputError(
                f"{where} has neither fl_x (pixels) nor, for a lens that is no fisheye, "
                "camera_angle_x (radians), so its focal length is unknown; add one"
            )
    return CameraOfAnySize(
        focal_px=(frame.fl_x, frame.fl_y),
        # A focal length in pixels counts for both axes before any angle.
        angle_rad=(frame.camera_angle_x, frame.camera_angle_y)
        if frame.fl_x is None and frame.fl_y is None
        else (None, None),
        principal_px=(frame.cx, frame.cy),
        model=model,
        distortion=distortion,
    )


def _distortion(frame: _Frame, where: str) -> tuple[str, tuple[float, ...]]:
    """COLMAP's model of a frame's lens, and its coefficients."""
    fisheye = frame.is_fisheye or frame.camera_model in FISHEYE_MODELS
    if not fisheye and frame.camera_model not in {None, *PERSPECTIVE_MODELS}:
        raise InputError(
            f"{where} has the camera_model {frame.camera_model}, and read are "
            f"{', '.join(sorted(PERSPECTIVE_MODELS | FISHEYE_MODELS))}; undistort the photos"
        )
    if fisheye:
        return "OPENCV_FISHEYE", (frame.k1, frame.k2, frame.k3, frame.k4)
    if frame.k4:
        raise InputError(
            f"{where} has k4 = {frame.k4:g}, the coefficient of r^8 that no camera model of COLMAP "
            "has; undistort the photos"
        )
    radial = (frame.k1, frame.k2, frame.p1, frame.p2)
    if frame.k3:
        return "FULL_OPENCV", (*radial, frame.k3, 0.0, 0.0, 0.0)
    return ("OPENCV", radial) if any(radial) else ("PINHOLE", ())


def _schema_message(path: Path, frame: str, error: SchemaError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if not str(part).startswith("tuple["))
    return (
        f"{path}: {frame}{field + ': ' if field else ''}{first['msg'].lower()}, and the file must "
        "be {fl_x, fl_y, cx, cy, w, h, frames: [{file_path, transform_matrix}]} or {camera_angle_x,"
        " frames}; correct or remove it"
    )
