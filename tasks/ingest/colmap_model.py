"""Cameras and poses of a COLMAP model, binary or text; its points are not read.

Read here and not by pycolmap: two plain lists are needed of it, a damaged file must become an
InputError, and a model with millions of points need not be loaded for its cameras.

Source: COLMAP's documentation, "Output Format", and its ``scene/reconstruction_io``.
"""

import math
import os
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tasks.cameras import CameraModel
from tasks.errors import InputError
from tasks.ingest.decode import opened
from tasks.ingest.folder import is_there
from tasks.ingest.given import (
    GivenCamera,
    GivenCameras,
    Size,
    UnusableCamera,
    not_finite,
    rigid,
)

MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    12: ("SIMPLE_DIVISION", 4),
    13: ("DIVISION", 5),
    14: ("SIMPLE_FISHEYE", 3),
    15: ("FISHEYE", 4),
    16: ("EUCM", 6),
}
"""Name and number of parameters of COLMAP's camera models by their id. Left out are those that are
no pixels of a plane (EQUIRECTANGULAR)."""

PARAMETERS = dict(MODELS.values())

TWO_FOCALS = {
    "SIMPLE_PINHOLE": ("PINHOLE", 0),
    "SIMPLE_RADIAL": ("OPENCV", 3),
    "RADIAL": ("OPENCV", 2),
    "SIMPLE_RADIAL_FISHEYE": ("OPENCV_FISHEYE", 3),
    "RADIAL_FISHEYE": ("OPENCV_FISHEYE", 2),
    "SIMPLE_DIVISION": ("DIVISION", 0),
    "SIMPLE_FISHEYE": ("FISHEYE", 0),
}
"""For each model with one focal length the one with two that holds it, and how many coefficients
more it has: an edge that was rounded in reducing a photo gives the two axes different scales."""

PINHOLE_WHERE_ZERO = frozenset({"OPENCV", "FULL_OPENCV"})

LARGEST_LINE = 64 << 20
"""Bytes of a line of text; a photo with a million observations has one of 40 MB."""

MOST_ROWS = 1_000_000
"""Of cameras or images: a file of holes takes no room on a disk, and announces any number."""

LARGEST_NAME = 4096
"""Bytes; no path is longer."""

NOT_FINITE = re.compile(r"[+-]?(nan(\(.*\))?|1\.#(ind|qnan|snan|inf)\d*)", re.IGNORECASE)
"""How C libraries write what is no number, beside the ways that Python reads."""

LONGEST_IMAGE_LINE = 12
"""Fields: an image has ten, and its name may hold spaces; more are observations."""

POINT_BYTES = 24
"""Of an observation: two coordinates and the id of its point."""


def camera_model(model: str, params: tuple[float, ...]) -> CameraModel:
    """Any of COLMAP's camera models with two focals, and without trailing zero distortion."""
    if model in TWO_FOCALS:
        model, missing = TWO_FOCALS[model]
        params = (params[0], *params, *[0.0] * missing)
    if model in PINHOLE_WHERE_ZERO and not any(params[4:]):
        model, params = "PINHOLE", params[:4]
    return CameraModel(model=model, params=params)


def find_model(folder: Path) -> tuple[Path, Path] | None:
    """The cameras and the images of the model in a folder, binary where there are both."""
    for suffix in (".bin", ".txt"):
        cameras, images = folder / f"cameras{suffix}", folder / f"images{suffix}"
        if is_there(cameras) and is_there(images):
            return cameras, images
    return None


def read_model(cameras: Path, images: Path) -> GivenCameras:
    """The registered images of a model, in the order of the file.

    One whose pose or lens is not finite is unusable, and spoils none of the others.

    Raises:
        InputError: a file cannot be read, is damaged, or has an unsupported camera model.
        MachineError: the machine failed to read it.
    """
    binary = cameras.suffix == ".bin"
    models = dict(_checked(cameras, _binary_cameras if binary else _text_cameras))
    rows = _checked(images, _binary_images if binary else _text_images)
    return GivenCameras.of([_given(images, row, models) for row in rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    name: str
    camera_id: int
    quaternion_wxyz: tuple[float, ...]
    translation: tuple[float, ...]


_Lens = tuple[CameraModel, Size] | None
"""A camera's model and the size of its photos; None where its parameters are not finite."""

_Camera = tuple[int, _Lens]
"""A camera's id, and what it is."""

_Row = TypeVar("_Row")


class _FormatError(ValueError):
    """What is wrong with a file, as the rest of the sentence that begins with its name."""


def _checked(path: Path, parse: Callable[[BufferedReader], Iterator[_Row]]) -> list[_Row]:
    try:
        with opened(path, path.name) as file:
            rows = list(islice(parse(file), MOST_ROWS + 1))
        if len(rows) > MOST_ROWS:
            raise _FormatError(f"holds more than {MOST_ROWS} entries")
        return rows
    except (ValueError, struct.error) as error:
        reason = error if isinstance(error, _FormatError) else f"is damaged ({error})"
        raise InputError(
            f"{path} {reason}, so the cameras of the COLMAP model cannot be read; export the model "
            "again or remove its folder"
        ) from error


def _given(path: Path, image: _Image, cameras: Mapping[int, _Lens]) -> GivenCamera | UnusableCamera:
    if image.camera_id not in cameras:
        raise InputError(
            f"{path}: image '{image.name}' has camera {image.camera_id}, which is none of the "
            f"{len(cameras)} cameras of the model; export the model again"
        )
    where = f"image '{image.name}' of {path.parent.name}/{path.name}"
    lens = cameras[image.camera_id]
    if lens is None or not all(map(math.isfinite, (*image.quaternion_wxyz, *image.translation))):
        return UnusableCamera(image=image.name, reason=not_finite(where))
    model, size = lens
    return GivenCamera(
        image=image.name,
        where=where,
        camera_from_world=rigid(
            _rotation(image.quaternion_wxyz), np.array(image.translation), f"the pose of {where}"
        ),
        camera_model=model,
        size=size,
    )


def _rotation(wxyz: tuple[float, ...]) -> np.ndarray:
    """Of a quaternion that need not be normalised; zeros where it stands for no rotation."""
    norm = math.hypot(*wxyz)
    if not 0.0 < norm < math.inf:
        return np.zeros((3, 3))
    w, x, y, z = (value / norm for value in wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _camera(camera_id: int, model: str, width: int, height: int, numbers: list[float]) -> _Camera:
    if model not in PARAMETERS:
        raise _FormatError(
            f"gives camera {camera_id} the model {model}, and read are {', '.join(PARAMETERS)}"
        )
    if len(numbers) != PARAMETERS[model]:
        raise _FormatError(
            f"gives camera {camera_id} {len(numbers)} parameters, and {model} has "
            f"{PARAMETERS[model]}"
        )
    if not all(map(math.isfinite, numbers)):
        return camera_id, None
    found = camera_model(model, tuple(numbers))
    if min(*found.params[:2], width, height) <= 0:
        raise _FormatError(
            f"gives camera {camera_id} the size {width}x{height} and the parameters {numbers}, "
            "which no camera has"
        )
    return camera_id, (found, (width, height))


def _text_cameras(file: BufferedReader) -> Iterator[_Camera]:
    for line in _lines(file):
        camera_id, model, width, height, *params = _fields(line, 4)
        yield _camera(int(camera_id), model, int(width), int(height), [_number(p) for p in params])


def _text_images(file: BufferedReader) -> Iterator[_Image]:
    """Every image, whether the line of its observations is there, empty or left out."""
    for line in _lines(file):
        if _are_observations(line):
            continue
        numbers, name = _fields(line, 10, at_most=10)[1:9], line.split(maxsplit=9)[9]
        values = [_number(number) for number in numbers[:7]]
        yield _Image(
            name=name,
            camera_id=int(numbers[7]),
            quaternion_wxyz=tuple(values[:4]),
            translation=tuple(values[4:7]),
        )


def _are_observations(line: str) -> bool:
    """Whether a line has x, y and a point's id, again and again, and is not of an image."""
    fields = line.split(maxsplit=LONGEST_IMAGE_LINE)
    if len(fields) > LONGEST_IMAGE_LINE:
        fields.pop()
    try:
        return len(fields) % 3 == 0 and len([_number(field) for field in fields]) > 0
    except ValueError:
        return False


def _number(text: str) -> float:
    return math.nan if NOT_FINITE.fullmatch(text) else float(text)


def _lines(file: BufferedReader) -> Iterator[str]:
    """Lines without comments and blanks."""
    while line := _line(file):
        text = line.decode("utf-8-sig").strip()
        if text and not text.startswith("#"):
            yield text


def _line(file: BufferedReader) -> bytes:
    """The next line; empty at the end of the file."""
    line = file.readline(LARGEST_LINE)
    if len(line) == LARGEST_LINE:
        raise _FormatError(f"has a line of more than {LARGEST_LINE >> 20} MiB")
    return line


def _fields(line: str, at_least: int, at_most: int = -1) -> list[str]:
    """What stands between spaces; the last of ``at_most`` fields may hold some."""
    fields = line.split(maxsplit=at_most - 1 if at_most > 0 else -1)
    if len(fields) < at_least:
        raise _FormatError(f"has the line '{line[:60]}' with less than {at_least} fields")
    return fields


def _binary_cameras(file: BufferedReader) -> Iterator[_Camera]:
    for _ in range(_count(file)):
        camera_id, model_id, width, height = _unpack(file, "iiQQ")
        if model_id not in MODELS:
            raise _FormatError(
                f"gives camera {camera_id} the model {model_id}, and read are those up to "
                f"{max(MODELS)}"
            )
        model, parameters = MODELS[model_id]
        yield _camera(camera_id, model, width, height, list(_unpack(file, f"{parameters}d")))


def _binary_images(file: BufferedReader) -> Iterator[_Image]:
    for _ in range(_count(file)):
        _, *pose, camera_id = _unpack(file, "I7dI")
        name = _name(file)
        file.seek(POINT_BYTES * _count(file, POINT_BYTES), os.SEEK_CUR)
        yield _Image(
            name=name,
            camera_id=camera_id,
            quaternion_wxyz=tuple(pose[:4]),
            translation=tuple(pose[4:]),
        )


def _unpack(file: BufferedReader, layout: str) -> tuple[Any, ...]:
    """Little-endian values without gaps."""
    layout = f"<{layout}"
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise _FormatError(f"ends within an entry, after {os.fstat(file.fileno()).st_size} bytes")
    return struct.unpack(layout, data)


def _count(file: BufferedReader, entry_bytes: int = 1) -> int:
    """A number of entries, which cannot be more than the bytes left hold."""
    (count,) = _unpack(file, "Q")
    left = os.fstat(file.fileno()).st_size - file.tell()
    if count * entry_bytes > left:
        raise _FormatError(f"announces {count} entries and has {left} bytes left")
    return count


def _name(file: BufferedReader) -> str:
    """Text that ends with a zero byte."""
    start = file.tell()
    data = file.read(LARGEST_NAME)
    name, zero, _ = data.partition(b"\0")
    if not zero:
        raise _FormatError(f"has a name without end at byte {start}")
    file.seek(start + len(name) + 1)
    return name.decode()
