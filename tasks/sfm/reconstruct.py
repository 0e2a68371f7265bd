"""Structure from motion: photos in; cameras, tracks and undistorted photos out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from tasks.cameras import Cameras
from tasks.errors import InputError
from tasks.sfm.config import SfmConfig
from tasks.sfm.exchange import Request, Result, SharedCamera
from tasks.sfm.process import run_child
from tasks.sfm.triangulate import Observations
from tasks.site import Progress, no_progress

MIN_PHOTOS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourcePhoto:
    """A photo as it was taken, upright."""

    name: str
    pixels: UInt8[np.ndarray, "h w 3"]
    """RGB."""
    camera: str
    """Photos of equal size share intrinsics where this is equal."""
    focal_px: float | None


class PhotoFiles(Sequence[UInt8[np.ndarray, "_ _ 3"]]):
    """Photos in ``.npy`` files, read one at a time when they are asked for."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> UInt8[np.ndarray, "_ _ 3"]: ...

    @overload
    def __getitem__(self, index: slice) -> "PhotoFiles": ...

    def __getitem__(self, index: int | slice) -> "UInt8[np.ndarray, '_ _ 3'] | PhotoFiles":
        if isinstance(index, slice):
            return PhotoFiles(self._paths[index])
        return np.load(self._paths[index])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reconstruction:
    """The largest model that structure from motion found. World units are its own."""

    cameras: Cameras
    """Of the registered photos, in the order of the input, undistorted: each has its own K and
    size."""
    points: Float64[np.ndarray, "m 3"]
    observations: Observations
    """Where the points were seen; ``photo_index`` counts in ``cameras``. Pixels of the undistorted
    photos; a few lie outside them, in the corners that undistortion cuts off."""
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    """Undistorted, RGB, one for each camera; they last as long as the work folder."""
    unregistered: tuple[str, ...]
    """Names of the photos without a camera."""
    reprojection_error_px: float
    """Mean over the points of their mean error, pixels of the photos given."""
    model_sizes: tuple[int, ...]
    """Photos in each model found, largest first; a photo can be in several."""
    relaxed: bool
    """Whether the second, less demanding attempt gave this model."""


def reconstruct(
    photos: Iterable[SourcePhoto],
    config: SfmConfig,
    *,
    work_folder: Path,
    threads: int = 1,
    progress: Progress = no_progress,
) -> Reconstruction:
    """Estimate the cameras of a scene's photos, in a process of its own.

    Args:
        photos: read one at a time; their order is the order in which neighbours are matched.
        work_folder: empty; the result's photos are read from it.
        threads: used where ``config.threads`` is 0.

    Raises:
        InputError: too few photos, or too few that could be registered.
        MachineError: the process died.
    """
    request, names = _write_request(photos, config, work_folder, config.threads or threads)
    run_child("tasks.sfm.worker", work_folder, threads=request.threads, progress=progress)
    result = Result.read(work_folder)
    registered = set(result.photos.tolist())
    return Reconstruction(
        cameras=Cameras(
            names=tuple(names[i] for i in result.photos),
            camera_from_world=result.camera_from_world,
            intrinsics=result.intrinsics,
            sizes=result.sizes,
        ),
        points=result.points,
        observations=Observations(
            point_index=result.point_index, photo_index=result.photo_index, xy=result.xy
        ),
        photos=PhotoFiles(request.undistorted_photo(i) for i in range(len(result.photos))),
        unregistered=tuple(name for i, name in enumerate(names) if i not in registered),
        reprojection_error_px=result.reprojection_error_px,
        model_sizes=result.model_sizes,
        relaxed=result.relaxed,
    )


def _write_request(
    photos: Iterable[SourcePhoto], config: SfmConfig, folder: Path, threads: int
) -> tuple[Request, list[str]]:
    """Photos to lossless files, their cameras grouped; the request and the names of the photos."""
    names: list[str] = []
    focals: dict[tuple[str, int, int], list[float]] = {}
    camera_of_photo: list[int] = []
    (folder / "photos").mkdir()
    for index, photo in enumerate(photos):
        height, width = photo.pixels.shape[:2]
        key = (photo.camera, width, height)
        known = focals.setdefault(key, [])
        if photo.focal_px is not None:
            known.append(photo.focal_px)
        names.append(photo.name)
        camera_of_photo.append(list(focals).index(key))
        Image.fromarray(photo.pixels).save(
            folder / "photos" / Request.photo_name(index), compress_level=1
        )
    if len(names) < MIN_PHOTOS:
        raise InputError(
            f"{len(names)} photos were given and structure from motion needs at least "
            f"{MIN_PHOTOS}; add photos of the same scene that overlap"
        )
    request = Request(
        folder=folder,
        config=config,
        threads=threads,
        cameras=tuple(
            SharedCamera(
                width=width,
                height=height,
                focal_px=float(np.median(known)) if known else None,
            )
            for (_, width, height), known in focals.items()
        ),
        camera_of_photo=tuple(camera_of_photo),
    )
    request.write()
    return request, names
