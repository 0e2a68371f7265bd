"""What may stand beside the photos: reference cameras and depth maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import UInt16
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    TypeAdapter,
)
from pydantic import ValidationError as SchemaError

from tasks.cameras import CameraModel
from tasks.errors import InputError
from tasks.ingest.decode import PhotoError, decoded, read_whole
from tasks.ingest.folder import DEPTH_FOLDER, frame_name, frame_of
from tasks.ingest.given import GivenCamera, Size, rigid, same_shape

DEPTH_SCALE_M = 1e-3
"""Metres of one level of a depth map."""

PositiveFloat = Annotated[FiniteFloat, Field(gt=0)]
Row = tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class _Entry(BaseModel):
    """One camera as ``cameras_gt.json`` gives it; further fields are none of our business."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    image: str | None = None
    frame: NonNegativeInt | None = None
    video: str | None = None
    width: PositiveInt
    height: PositiveInt
    fx: PositiveFloat
    fy: PositiveFloat
    cx: FiniteFloat
    cy: FiniteFloat
    R: tuple[Row, Row, Row]
    t: Row


_ENTRIES = TypeAdapter(list[_Entry])


def read_cameras(
    path: Path, photo_names: Sequence[str], videos: Sequence[Path] = ()
) -> dict[str, GivenCamera]:
    """Read reference cameras, by the name of their photo.

    The file is a list of ``{image, width, height, fx, fy, cx, cy, R, t}``: pixels, OpenCV axes,
    ``x_cam = R @ x_world + t``, no distortion. Rotations are made exactly orthonormal.

    Where the scene is a video, an entry has ``frame``, the index of its frame from 0 as decoded,
    and ``video``, the name of the file, if there are several; or ``image``, the name that
    :func:`tasks.ingest.folder.frame_name` gives the frame. Entries may have both ``image`` and
    ``frame``, so that one file serves the photos and the video that they were taken from.

    Args:
        photo_names: every file of the scene that could be meant, the rejected ones included.
        videos: those of the scene, where it has no photos.

    Raises:
        InputError: the file cannot be read or parsed, a field is missing or of the wrong shape,
            a rotation is none, an image is named twice or not at all among the photos.
        MachineError: the machine failed to read it.
    """
    try:
        entries = _ENTRIES.validate_json(read_whole(path, path.name))
    except SchemaError as error:
        raise InputError(_schema_message(path, error)) from error
    if not entries:
        raise InputError(f"{path} lists no camera; add the cameras or remove the file")
    known, first = set(photo_names), dict[str, int]()
    cameras = {}
    for index, entry in enumerate(entries):
        name = _frame_name(path, index, entry, videos) if videos else entry.image
        if name is None:
            raise InputError(f"{path}: entry {index} names no image; add its field 'image'")
        if not videos and name not in known:
            raise InputError(
                f"{path}: entry {index} is the camera of '{name}', which is none of the "
                f"{len(known)} photos ('{photo_names[0]}', ...); correct the name or remove it"
            )
        if (earlier := first.setdefault(name, index)) != index:
            raise InputError(
                f"{path}: entries {earlier} and {index} are both the camera of '{name}', "
                "so one of them is wrong; remove it"
            )
        cameras[name] = _given(path, index, name, entry)
    return cameras


def _given(path: Path, index: int, name: str, entry: _Entry) -> GivenCamera:
    return GivenCamera(
        image=name,
        where=f"entry {index}",
        camera_from_world=rigid(
            np.array(entry.R), np.array(entry.t), f"{path}: R of entry {index} ('{name}')"
        ),
        camera_model=CameraModel(model="PINHOLE", params=(entry.fx, entry.fy, entry.cx, entry.cy)),
        size=(entry.width, entry.height),
    )


def _frame_name(path: Path, index: int, entry: _Entry, videos: Sequence[Path]) -> str:
    """What the frame is called that an entry of a video's cameras means."""
    if entry.frame is None:
        if entry.image is not None and frame_of(entry.image, videos):
            return entry.image
        raise InputError(
            f"{path}: entry {index} is the camera of '{entry.image}', which is no frame of a video "
            f"({frame_name(videos[0], 0)} is the first); add its field 'frame', counted from 0"
        )
    meant = [video for video in videos if entry.video in (None, video.name)]
    if len(meant) != 1:
        raise InputError(
            f"{path}: entry {index} is of frame {entry.frame} of the video {entry.video}, and the "
            f"videos are {', '.join(video.name for video in videos)}; name one of them in 'video'"
        )
    return frame_name(meant[0], entry.frame)


def depth_by_photo(maps: Sequence[Path], photo_names: Sequence[str]) -> dict[str, Path]:
    """The depth map of each photo that has one, by stem: ``depth/a.png`` belongs to ``a.jpg``.

    Raises:
        InputError: a map belongs to two photos, or there are maps and none belongs to any.
    """
    by_stem = {path.stem: path for path in maps}
    found: dict[str, Path] = {}
    owner: dict[str, str] = {}
    for name in photo_names:
        stem = Path(name).stem
        if stem not in by_stem:
            continue
        if stem in owner:
            raise InputError(
                f"{DEPTH_FOLDER}/{by_stem[stem].name} could belong to '{owner[stem]}' and to "
                f"'{name}'; rename one of the photos"
            )
        owner[stem] = name
        found[name] = by_stem[stem]
    if maps and not found:
        raise InputError(
            f"none of the {len(maps)} maps in {DEPTH_FOLDER}/ ('{maps[0].name}', ...) is named "
            f"after one of the {len(photo_names)} photos ('{photo_names[0]}', ...); name them "
            "<photo without its ending>.png or remove the folder"
        )
    return found


def read_depth(path: Path, photo_size: Size, max_pixels: int) -> UInt16[np.ndarray, "h w"]:
    """Read a depth map at its own resolution: millimetres along the optical axis, 0 = unknown.

    Args:
        photo_size: width and height of its upright photo, pixels; the map must have the same
            shape up to the rounding of an edge.
        max_pixels: as for photos.

    Raises:
        InputError: the map cannot be read, is not one 16-bit channel, or has another shape.
        MachineError: the machine failed to read it.
    """
    name = f"{DEPTH_FOLDER}/{path.name}"
    with decoded(path, name, max_pixels) as image:
        if not image.mode.startswith("I;16"):
            raise PhotoError(
                name,
                f"is not a depth map: it has pixels of mode {image.mode}, and depth is one 16-bit "
                "channel in millimetres; export it so",
            )
        depth = np.asarray(image).astype(np.uint16)
    height, width = depth.shape
    if not same_shape((width, height), photo_size):
        raise PhotoError(
            name,
            f"does not fit: it has {width}x{height} pixels and its photo {photo_size[0]}x"
            f"{photo_size[1]}, another shape, so it shows another view; turn or replace it",
        )
    return depth


def _schema_message(path: Path, error: SchemaError) -> str:
    first = error.errors(include_url=False)[0]
    where = first["loc"]
    entry = f"entry {where[0]}, " if where else ""
    field = ".".join(str(part) for part in where[1:])
    return (
        f"{path}: {entry}{field + ': ' if field else ''}{first['msg'].lower()}, and the file must "
        "be a list of {image, width, height, fx, fy, cx, cy, R, t}; correct or remove it"
    )
