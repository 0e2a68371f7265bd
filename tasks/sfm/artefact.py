"""How a reconstruction lies in the store, and how later stages read it.

Arrays: ``camera_from_world`` [n 4 4], ``intrinsics`` [n 3 3] and ``sizes`` [n 2] of the registered
photos; ``points`` [m 3]; the observations ``point_index``, ``photo_index`` and ``xy``; and the
undistorted photos ``photo_0000``, ``photo_0001``, ... (uint8, [h w 3]), in the cameras' order.
"""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from jaxtyping import UInt8

from storage.arrays import NamedArray
from storage.handles import ArrayHandle
from tasks.cameras import Cameras
from tasks.ingest.artefact import Photos
from tasks.sfm.reconstruct import Reconstruction, SourcePhoto
from tasks.sfm.triangulate import Observations


def source_photos(photos: Photos) -> Iterator[SourcePhoto]:
    """The stored photos, one at a time."""
    for index, info in enumerate(photos.infos):
        yield SourcePhoto(
            name=info.name,
            pixels=photos.pixels(index),
            camera=info.camera,
            focal_px=info.focal_px,
        )


def arrays_of(found: Reconstruction) -> Iterator[NamedArray]:
    """The arrays of a reconstruction, its photos one at a time."""
    cameras, seen = found.cameras, found.observations
    yield NamedArray(
        name="camera_from_world",
        values=cameras.camera_from_world,
        dims=("camera", "row", "column"),
    )
    yield NamedArray(
        name="intrinsics", values=cameras.intrinsics, dims=("camera", "pixel_row", "pixel_column")
    )
    yield NamedArray(name="sizes", values=cameras.sizes, dims=("camera", "width_height"))
    yield NamedArray(name="points", values=found.points, dims=("point", "xyz"))
    yield NamedArray(name="point_index", values=seen.point_index, dims=("observation",))
    yield NamedArray(name="photo_index", values=seen.photo_index, dims=("observation",))
    yield NamedArray(name="xy", values=seen.xy, dims=("observation", "pixel_xy"))
    for index, pixels in enumerate(found.photos):
        yield NamedArray(name=f"photo_{index:04d}", values=pixels, dims=("y", "x", "channel"))


def attributes_of(found: Reconstruction) -> dict[str, Any]:
    """What the arrays do not say, JSON-able."""
    return {
        "names": list(found.cameras.names),
        "unregistered": list(found.unregistered),
        "reprojection_error_px": found.reprojection_error_px,
        "model_sizes": list(found.model_sizes),
        "relaxed": found.relaxed,
    }


class StoredPhotos(Sequence[UInt8[np.ndarray, "_ _ 3"]]):
    """The undistorted photos of a stored reconstruction, read one at a time when asked for."""

    def __init__(self, stored: ArrayHandle, count: int) -> None:
        self._stored = stored
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> UInt8[np.ndarray, "_ _ 3"]: ...

    @overload
    def __getitem__(self, index: slice) -> list[UInt8[np.ndarray, "_ _ 3"]]: ...

    def __getitem__(
        self, index: int | slice
    ) -> UInt8[np.ndarray, "_ _ 3"] | list[UInt8[np.ndarray, "_ _ 3"]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._stored.array(f"photo_{index:04d}")


class Sparse:
    """A stored reconstruction; photos are read when asked for."""

    def __init__(self, stored: ArrayHandle) -> None:
        self.cameras = Cameras(
            names=tuple(stored.attributes["names"]),
            camera_from_world=stored.array("camera_from_world"),
            intrinsics=stored.array("intrinsics"),
            sizes=stored.array("sizes"),
        )
        self.observations = Observations(
            point_index=stored.array("point_index"),
            photo_index=stored.array("photo_index"),
            xy=stored.array("xy"),
        )
        self.photos = StoredPhotos(stored, len(self.cameras))
