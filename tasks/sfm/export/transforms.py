"""Export as a ``transforms.json`` of undistorted photos, as nerfstudio reads it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from tasks.cameras import Cameras
from tasks.images import to_uint8
from tasks.sfm.export.folder import (
    PHOTO_FOLDER,
    Masks,
    new_folder,
    photo_files,
    write_masks,
    write_photos,
    write_world,
)

_OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Axes of one camera: OpenGL's y points up and its z backwards."""

_POINT_FILE = "sparse_pc.ply"


def write_transforms(
    folder: Path,
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    *,
    points: Float64[np.ndarray, "m 3"],
    colours: Float32[np.ndarray, "m 3"],
    masks: Masks | None = None,
    world: Mapping[str, Any] | None = None,
) -> None:
    """Write ``images/`` (PNG), ``transforms.json`` and the points as ``sparse_pc.ply``.

    Every frame has its own intrinsics (pixels, no distortion) and ``transform_matrix``, which takes
    points of the camera (OpenGL axes: y up, z backwards) to the world. The world is that of
    ``cameras``: nothing is turned, centred or scaled.

    Args:
        folder: new or empty; it appears when all is written.
        photos: undistorted, of the sizes of ``cameras``; read one at a time.
        points: world units; stored as float32.
        colours: of the points, RGB in [0, 1].
        masks: of the photos, written to ``masks/`` and named as each frame's ``mask_path``. Where
            one has a mask all get one: nerfstudio refuses a folder with fewer masks than photos.
        world: what is known of the world, written to ``world.json``.

    Raises:
        InputError: the folder holds something already.
        MachineError: it cannot be written.

    Source: https://docs.nerf.studio/quickstart/data_conventions.html
    """
    with new_folder(folder) as partial:
        write_world(partial, world)
        write_photos(partial, cameras, photos)
        mask_files = write_masks(partial, cameras, _all_or_none(cameras, masks))
        _write_ply(partial / _POINT_FILE, points, colours)
        frames = [_frame(cameras, i, mask_files.get(i)) for i in range(len(cameras))]
        content = {"camera_model": "PINHOLE", "ply_file_path": _POINT_FILE, "frames": frames}
        (partial / "transforms.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def _all_or_none(cameras: Cameras, masks: Masks | None) -> Masks | None:
    if masks is None or all(mask is None for mask in masks):
        return None
    return [
        np.ones((height, width), dtype=bool) if mask is None else mask
        for mask, (width, height) in zip(masks, cameras.sizes.tolist(), strict=True)
    ]


def _frame(cameras: Cameras, index: int, mask_file: str | None) -> dict[str, Any]:
    k = cameras.intrinsics[index]
    width, height = cameras.size(index)
    world_from_opengl = cameras.world_from_camera[index] @ _OPENCV_FROM_OPENGL
    return {
        "file_path": f"{PHOTO_FOLDER}/{photo_files(cameras.names)[index]}",
        **({} if mask_file is None else {"mask_path": mask_file}),
        "w": width,
        "h": height,
        "fl_x": k[0, 0],
        "fl_y": k[1, 1],
        "cx": k[0, 2],
        "cy": k[1, 2],
        "transform_matrix": world_from_opengl.tolist(),
    }


def _write_ply(
    path: Path, points: Float64[np.ndarray, "m 3"], colours: Float32[np.ndarray, "m 3"]
) -> None:
    vertices = np.empty(len(points), dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)])
    vertices["xyz"], vertices["rgb"] = points, to_uint8(colours)
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
    )
    path.write_bytes(header.encode() + vertices.tobytes())
