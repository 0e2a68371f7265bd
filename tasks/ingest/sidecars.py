"""What may stand beside the photos: reference cameras and depth maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float64, UInt16
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt, TypeAdapter
from pydantic import ValidationError as SchemaError

from tasks.cameras import Cameras
from tasks.errors import InputError
from tasks.ingest.decode import PhotoError, decoded, opened
from tasks.ingest.source import DEPTH_FOLDER

DEPTH_SCALE_M = 1e-3
"""Metres of one level of a depth map."""

ROTATION_TOLERANCE = 1e-3
"""Largest entry of ``R R^T - I``: leaves room for rotations written with four digits."""

PositiveFloat = Annotated[FiniteFloat, Field(gt=0)]
Row = tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class _Entry(BaseModel):
    """One camera as ``cameras_gt.json`` gives it; further fields are none of our business."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    image: str
    width: PositiveInt
    height: PositiveInt
    fx: PositiveFloat
    fy: PositiveFloat
    cx: FiniteFloat
    cy: FiniteFloat
    R: tuple[Row, Row, Row]
    t: Row


_ENTRIES = TypeAdapter(list[_Entry])


def read_cameras(path: Path, photo_names: Sequence[str]) -> Cameras:
    """Read reference cameras, in the order of the file and at the sizes it gives.

    The file is a list of ``{image, width, height, fx, fy, cx, cy, R, t}``: pixels, OpenCV axes,
    ``x_cam = R @ x_world + t``, no distortion. Rotations are made exactly orthonormal.

    Args:
        photo_names: every file of the scene that could be meant, the rejected ones included.

    Raises:
        InputError: the file cannot be read or parsed, a field is missing or of the wrong shape,
            a rotation is none, an image is named twice or not at all among the photos.
        MachineError: the machine failed to read it.
    """
    try:
        with opened(path, path.name) as file:
            entries = _ENTRIES.validate_json(file.read())
    except SchemaError as error:
        raise InputError(_schema_message(path, error)) from error
    if not entries:
        raise InputError(f"{path} lists no camera; add the cameras or remove the file")
    known, seen = set(photo_names), dict[str, int]()
    for index, entry in enumerate(entries):
        if entry.image not in known:
            raise InputError(
                f"{path}: entry {index} is the camera of '{entry.image}', which is none of the "
                f"{len(known)} photos ('{photo_names[0]}', ...); correct the name or remove it"
            )
        if (earlier := seen.setdefault(entry.image, index)) != index:
            raise InputError(
                f"{path}: entries {earlier} and {index} are both the camera of '{entry.image}', "
                "so one of them is wrong; remove it"
            )
    return Cameras(
        names=tuple(entry.image for entry in entries),
        camera_from_world=np.stack([_pose(path, i, entry) for i, entry in enumerate(entries)]),
        intrinsics=np.array(
            [
                [[entry.fx, 0.0, entry.cx], [0.0, entry.fy, entry.cy], [0.0, 0.0, 1.0]]
                for entry in entries
            ]
        ),
        sizes=np.array([[entry.width, entry.height] for entry in entries], dtype=np.int64),
    )


def cameras_of_photos(
    cameras: Cameras,
    names: Sequence[str],
    source_sizes: Mapping[str, tuple[int, int]],
    sizes: Mapping[str, tuple[int, int]],
) -> Cameras:
    """The reference cameras of the photos kept, in their order and at their reduced sizes.

    Args:
        names: the photos kept; those without a reference camera are passed over.
        source_sizes: width and height of each before it was reduced, pixels.
        sizes: width and height of each now, pixels.

    Raises:
        InputError: a camera is not of the size of its photo.
    """
    row = {name: index for index, name in enumerate(cameras.names)}
    kept = [name for name in names if name in row]
    chosen = cameras.select([row[name] for name in kept])
    for name, (width, height) in zip(kept, chosen.sizes.tolist(), strict=True):
        if (width, height) != source_sizes[name]:
            found = "{}x{}".format(*source_sizes[name])
            raise InputError(
                f"the reference camera of '{name}' (entry {row[name]}) is for {width}x{height} "
                f"pixels and the upright photo has {found}, so its intrinsics would be wrong; "
                "give the cameras of these photos"
            )
    return chosen.resized(np.array([sizes[name] for name in kept], dtype=np.int64).reshape(-1, 2))


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


def read_depth(
    path: Path, photo_size: tuple[int, int], max_pixels: int
) -> UInt16[np.ndarray, "h w"]:
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
    if abs(width * photo_size[1] - height * photo_size[0]) > max(photo_size):
        raise PhotoError(
            name,
            f"does not fit: it has {width}x{height} pixels and its photo {photo_size[0]}x"
            f"{photo_size[1]}, another shape, so it shows another view; turn or replace it",
        )
    return depth


def _pose(path: Path, index: int, entry: _Entry) -> Float64[np.ndarray, "4 4"]:
    given = np.array(entry.R)
    error = np.abs(given @ given.T - np.eye(3)).max()
    determinant = np.linalg.det(given)
    if error > ROTATION_TOLERANCE or determinant < 0:
        raise InputError(
            f"{path}: R of entry {index} ('{entry.image}') is no rotation (R R^T is {error:.3g} "
            f"away from I, det R = {determinant:.3g}); write world-to-camera rotations"
        )
    u, _, vt = np.linalg.svd(given)
    camera_from_world = np.eye(4)
    camera_from_world[:3, :3] = u @ vt
    camera_from_world[:3, 3] = entry.t
    return camera_from_world


def _schema_message(path: Path, error: SchemaError) -> str:
    first = error.errors(include_url=False)[0]
    where = first["loc"]
    entry = f"entry {where[0]}, " if where else ""
    field = ".".join(str(part) for part in where[1:])
    return (
        f"{path}: {entry}{field + ': ' if field else ''}{first['msg'].lower()}, and the file must "
        "be a list of {image, width, height, fx, fy, cx, cy, R, t}; correct or remove it"
    )
