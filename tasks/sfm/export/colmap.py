"""Export as a COLMAP project of undistorted photos."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras
from tasks.images import to_uint8
from tasks.sfm.export.folder import (
    Masks,
    new_folder,
    photo_files,
    write_masks,
    write_photos,
    write_world,
)
from tasks.sfm.triangulate import Observations

_PINHOLE = 1  # COLMAP's number of the model with fx, fy, cx, cy

_POINT_2D = np.dtype([("xy", "<f8", 2), ("point", "<i8")])
_TRACK_ELEMENT = np.dtype([("image", "<i4"), ("point_2d", "<i4")])


def write_colmap(
    folder: Path,
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    *,
    points: Float64[np.ndarray, "m 3"],
    colours: Float32[np.ndarray, "m 3"],
    observations: Observations,
    masks: Masks | None = None,
    world: Mapping[str, Any] | None = None,
) -> None:
    """Write ``images/`` (PNG) and ``sparse/0/{cameras,images,points3D}.bin``, tracks included.

    The three files are those of COLMAP before version 3.12, which later versions, pycolmap, gsplat
    and nerfstudio read as well. Cameras are PINHOLE; photos with equal intrinsics share one. Pixel
    (0, 0) has its centre at (0.5, 0.5), as in COLMAP.

    Args:
        folder: new or empty; it appears when all is written.
        photos: undistorted, of the sizes of ``cameras``; read one at a time.
        points: world units.
        colours: of the points, RGB in [0, 1].
        observations: ``point_index`` counts in ``points``.
        masks: of the photos, written to ``masks/<photo's file>.png``.
        world: what is known of the world, written to ``world.json``.

    Raises:
        InputError: the folder holds something already.
        MachineError: it cannot be written.

    Source: https://colmap.github.io/format.html
    """
    with new_folder(folder) as partial:
        write_world(partial, world)
        write_photos(partial, cameras, photos)
        write_masks(partial, cameras, masks)
        sparse = partial / "sparse" / "0"
        sparse.mkdir(parents=True)
        # Both files number observations by their place in their photo.
        seen = observations.select(np.lexsort((observations.point_index, observations.photo_index)))
        starts = np.searchsorted(seen.photo_index, np.arange(len(cameras) + 1))
        camera_ids = _write_cameras(sparse / "cameras.bin", cameras)
        _write_images(sparse / "images.bin", cameras, camera_ids, seen, starts)
        _write_points(sparse / "points3D.bin", cameras, points, colours, seen, starts)


def _write_cameras(path: Path, cameras: Cameras) -> list[int]:
    """Returns: the id of each photo's camera."""
    ids: dict[tuple[float, ...], int] = {}
    camera_ids = []
    for k, size in zip(cameras.intrinsics, cameras.sizes, strict=True):
        key = (*size.tolist(), k[0, 0], k[1, 1], k[0, 2], k[1, 2])
        camera_ids.append(ids.setdefault(key, len(ids) + 1))
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(ids)))
        for (width, height, *params), camera_id in ids.items():
            file.write(
                struct.pack("<iiQQ4d", camera_id, _PINHOLE, int(width), int(height), *params)
            )
    return camera_ids


def _write_images(
    path: Path,
    cameras: Cameras,
    camera_ids: Sequence[int],
    seen: Observations,
    starts: Int64[np.ndarray, " n_plus_1"],
) -> None:
    quaternions = Rotation.from_matrix(cameras.camera_from_world[:, :3, :3]).as_quat(
        canonical=True, scalar_first=True
    )
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(cameras)))
        for index, name in enumerate(photo_files(cameras.names)):
            translation = cameras.camera_from_world[index, :3, 3]
            file.write(struct.pack("<i7d", index + 1, *quaternions[index], *translation))
            file.write(struct.pack("<i", camera_ids[index]) + name.encode() + b"\0")
            here = slice(starts[index], starts[index + 1])
            found = np.empty(starts[index + 1] - starts[index], dtype=_POINT_2D)
            found["xy"], found["point"] = seen.xy[here], seen.point_index[here] + 1
            file.write(struct.pack("<Q", len(found)) + found.tobytes())


def _write_points(
    path: Path,
    cameras: Cameras,
    points: Float64[np.ndarray, "m 3"],
    colours: Float32[np.ndarray, "m 3"],
    seen: Observations,
    starts: Int64[np.ndarray, " n_plus_1"],
) -> None:
    elements = np.empty(len(seen.xy), dtype=_TRACK_ELEMENT)
    elements["image"] = seen.photo_index + 1
    elements["point_2d"] = np.arange(len(seen.xy)) - starts[seen.photo_index]
    by_point = np.argsort(seen.point_index, kind="stable")
    elements = elements[by_point]
    first = np.searchsorted(seen.point_index[by_point], np.arange(len(points) + 1))
    errors_px = _mean_errors_px(cameras, points, seen)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(points)))
        for index, colour in enumerate(to_uint8(colours)):
            track = elements[first[index] : first[index + 1]]
            file.write(
                struct.pack(
                    "<Q3d3BdQ",
                    index + 1,
                    *points[index],
                    *colour.tolist(),
                    errors_px[index],
                    len(track),
                )
                + track.tobytes()
            )


def _mean_errors_px(
    cameras: Cameras, points: Float64[np.ndarray, "m 3"], seen: Observations
) -> Float64[np.ndarray, " m"]:
    """Mean distance of each point's projections to its observations; 0 where it has none."""
    pose = cameras.camera_from_world[seen.photo_index]
    local = np.einsum("kij,kj->ki", pose[:, :3, :3], points[seen.point_index]) + pose[:, :3, 3]
    image = np.einsum("kij,kj->ki", cameras.intrinsics[seen.photo_index], local)
    errors = np.linalg.norm(image[:, :2] / image[:, 2:] - seen.xy, axis=1)
    total = np.bincount(seen.point_index, weights=errors, minlength=len(points))
    return total / np.maximum(np.bincount(seen.point_index, minlength=len(points)), 1)
