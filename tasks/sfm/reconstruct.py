"""Structure from motion: photos in; cameras, tracks and undistorted photos out."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from PIL import Image

from tasks.artefacts import Lazy
from tasks.cameras import CameraModel, Cameras
from tasks.errors import InputError
from tasks.ingest.exif import Gps
from tasks.runtime.context import Context
from tasks.sfm.config import SfmConfig
from tasks.sfm.exchange import MASK_FOLDER, PHOTO_FOLDER, Request, Result, Rung, SharedCamera
from tasks.sfm.features.files import FeatureWeights
from tasks.sfm.geodesy import local_positions
from tasks.sfm.matches import Matches
from tasks.sfm.process import run_child
from tasks.sfm.triangulate import Observations
from tasks.sfm.world_frame import WorldFrame, find_world_frame, frame_of_reference, unchanged

MIN_PHOTOS = 2

Poses = Literal["estimated", "given"]
"""Where the poses of a reconstruction come from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenPose:
    """A camera that is known beforehand."""

    camera_from_world: Float64[np.ndarray, "4 4"]
    """OpenCV axes; the world is kept as it is."""
    camera_model: CameraModel
    """Pixels of the photo it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourcePhoto:
    """A photo as it was taken, upright."""

    name: str
    pixels: UInt8[np.ndarray, "h w 3"]
    """RGB."""
    camera: str
    """Photos of equal size share intrinsics where this is equal."""
    focal_px: float | None
    given: GivenPose | None = None
    """Used where the poses of the reconstruction are the given ones."""
    mask: Bool[np.ndarray, "h w"] | None = None
    """True where the photo may be used; None = everywhere."""
    gps: Gps | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reconstruction:
    """The largest model that structure from motion found, or the points of given cameras."""

    cameras: Cameras
    """Of the registered photos, in the order of the input, undistorted: each has its own K and
    size."""
    points: Float64[np.ndarray, "m 3"]
    observations: Observations
    """Where the points were seen; ``photo_index`` counts in ``cameras``. Pixels of the undistorted
    photos; a few lie outside them, in the corners that undistortion cuts off."""
    matches: Matches
    """Of the registered photos; ``photo_index`` counts in ``cameras``."""
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    """Undistorted, RGB, one for each camera; they last as long as the work folder."""
    masks: Sequence[Bool[np.ndarray, "_ _"] | None]
    """Of ``photos``: true where they may be used; None = everywhere."""
    unregistered: tuple[str, ...]
    """Names of the photos without a camera."""
    poses: Poses
    reprojection_error_px: float
    """Mean over the points of their mean error, pixels of the photos given."""
    model_sizes: tuple[int, ...]
    """Photos in each model found, largest first; a photo can be in several."""
    localised: tuple[str, ...]
    """Names of the photos that were localised against the finished model."""
    sure: Bool[np.ndarray, " n"]
    """Whether the evidence for each camera's pose can be believed; always where it is given."""
    confidence: Float32[np.ndarray, " n"]
    """Of each camera's pose: the estimated share of such poses that are right; NaN where given."""
    left_out: Mapping[str, str]
    """Why each of ``unregistered`` has no camera."""
    rungs: tuple[Rung, ...]
    """Attempts at a model, in their order; none for given poses."""
    pairing: str
    """Kind of the pairs that were matched."""
    matched_pairs: int
    frame: WorldFrame
    """Of ``cameras`` and ``points``."""
    gps_origin: Gps | None
    """Place of the world's origin, where it is upright by GPS."""


def reconstruct(
    photos: Iterable[SourcePhoto],
    config: SfmConfig,
    *,
    work_folder: Path,
    poses: Poses = "estimated",
    training: Collection[str] | None = None,
    weights: FeatureWeights | None = None,
    cache: Path | None = None,
    video: bool = False,
    context: Context = Context(),
) -> Reconstruction:
    """Find the cameras of a scene's photos and points seen by them, in a process of its own.

    Args:
        photos: read one at a time; their order is the order in which neighbours are matched.
            Features on masked-out pixels are not used.
        poses: given poses and their camera models are kept exactly and only points are
            triangulated; photos without a given pose are left out.
        training: names of the photos that give cameras and points; the others are localised against
            them. None = all photos. Only with estimated poses.
        weights: of networks for features; without any, 'auto' features are those of SIFT.
        cache: folder for features and matches by networks; None: nothing is kept.
        video: whether the photos are frames of videos.
        work_folder: empty; the result's photos are read from it.
        context: its threads are used where ``config.threads`` is 0; one where both are unset.

    Raises:
        InputError: too few photos, or too few that could be registered; or given poses that do
            not fit the photos, or are needed and missing.
        MachineError: the process died.
    """
    threads = config.threads or context.threads or 1
    known = _Known(poses={}, gps={})
    request, names, left_out = _prepare(
        _noted(photos, known), config, work_folder, given=poses == "given", training=training
    )
    positions = local_positions([known.gps[name] for name in names])
    request = replace(
        request,
        threads=threads,
        weights=weights,
        cache=cache,
        device=context.device,
        video=video,
        positions_m=None if positions is None else positions.positions_m,
    )
    request.write()
    run_child("tasks.sfm.worker", work_folder, threads=threads, progress=context.progress)
    found = _read(Result.read(work_folder), request, names, left_out)
    return _placed(found, config, known)


def _read(
    result: Result, request: Request, names: Sequence[str], left_out: Sequence[str]
) -> Reconstruction:
    """What the child found, in the mapper's world or that of the given poses.

    Args:
        names: of the request's photos.
        left_out: names of further photos.
    """
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
        matches=Matches(
            photo_index=result.keypoint_photo, xy=result.keypoint_xy, pairs=result.pairs
        ),
        photos=Lazy(len(result.photos), lambda i: np.load(request.undistorted_photo(i))),
        masks=Lazy(len(result.photos), lambda i: _loaded(request.undistorted_mask(i))),
        unregistered=(
            *(name for i, name in enumerate(names) if i not in registered),
            *left_out,
        ),
        poses="estimated" if request.camera_from_world is None else "given",
        reprojection_error_px=result.reprojection_error_px,
        model_sizes=result.model_sizes,
        localised=tuple(names[i] for i in result.localised),
        sure=result.sure,
        confidence=result.confidence,
        left_out={names[photo]: reason for photo, reason in result.left_out}
        | dict.fromkeys(left_out, "it has no given pose"),
        rungs=result.rungs,
        pairing=result.pairing,
        matched_pairs=result.matched_pairs,
        frame=unchanged("model"),
        gps_origin=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What photos tell of where they were taken, by their names."""

    poses: dict[str, GivenPose]
    gps: dict[str, Gps | None]


def _noted(photos: Iterable[SourcePhoto], known: _Known) -> Iterator[SourcePhoto]:
    for photo in photos:
        known.gps[photo.name] = photo.gps
        if photo.given is not None:
            known.poses[photo.name] = photo.given
        yield photo


def _placed(found: Reconstruction, config: SfmConfig, known: _Known) -> Reconstruction:
    """The reconstruction in the world that the config wants, which mapped and sure photos decide;
    given poses are kept exactly."""
    if found.poses == "given":
        return replace(found, frame=unchanged("given", metric=config.world == "reference"))
    if config.world == "model":
        return found
    names = found.cameras.names
    mapped = found.cameras.select(
        [i for i, one in enumerate(names) if found.sure[i] and one not in found.localised]
    )
    positions = None
    if config.world == "reference":
        frame = _frame_of_reference(mapped, known.poses)
    else:
        positions = local_positions([known.gps[name] for name in mapped.names])
        frame = find_world_frame(mapped, None if positions is None else positions.positions_m)
    origin = positions.origin if positions and frame.source == "gps" and frame.upright else None
    return in_world(found, frame, gps_origin=origin)


def in_world(found: Reconstruction, frame: WorldFrame, *, gps_origin: Gps | None) -> Reconstruction:
    """The same reconstruction in another world: its photos see the same points at the same
    pixels."""
    if frame.source == "model":
        return found
    return replace(
        found,
        cameras=frame.world_from_model.apply_to_cameras(found.cameras),
        points=frame.world_from_model.apply(found.points),
        frame=frame,
        gps_origin=gps_origin,
    )


def _frame_of_reference(mapped: Cameras, poses: Mapping[str, GivenPose]) -> WorldFrame:
    common = mapped.select([i for i, name in enumerate(mapped.names) if name in poses])
    reference = replace(
        common,
        camera_from_world=np.array(
            [poses[name].camera_from_world for name in common.names]
        ).reshape(-1, 4, 4),
    )
    return frame_of_reference(reference, common)


def _loaded(mask: Path) -> Bool[np.ndarray, "_ _"] | None:
    return np.load(mask) if mask.exists() else None


def _prepare(
    photos: Iterable[SourcePhoto],
    config: SfmConfig,
    folder: Path,
    *,
    given: bool,
    training: Collection[str] | None,
) -> tuple[Request, list[str], list[str]]:
    """Write photos and masks to lossless files, and group their cameras.

    Returns:
        The request, the names of its photos, and those of the photos left out.
    """
    names: list[str] = []
    left_out: list[str] = []
    # Of each camera: from photos that are mapped (True), and from others.
    focals: dict[tuple[str, int, int, CameraModel | None], dict[bool, list[float]]] = {}
    camera_of_photo: list[int] = []
    poses: list[Float64[np.ndarray, "4 4"]] = []
    for name in (PHOTO_FOLDER, MASK_FOLDER):
        (folder / name).mkdir()
    for photo in photos:
        if given and photo.given is None:
            left_out.append(photo.name)
            continue
        model = None
        if given and photo.given is not None:
            model = photo.given.camera_model
            poses.append(photo.given.camera_from_world)
        height, width = photo.pixels.shape[:2]
        key = (photo.camera, width, height, model)
        known = focals.setdefault(key, {True: [], False: []})
        if photo.focal_px is not None:
            known[training is None or photo.name in training].append(photo.focal_px)
        file = Request.photo_name(len(names))
        Image.fromarray(photo.pixels).save(folder / PHOTO_FOLDER / file, compress_level=1)
        if photo.mask is not None:
            Image.fromarray(255 * photo.mask.astype(np.uint8)).save(
                folder / MASK_FOLDER / Request.mask_name(file), compress_level=1
            )
        names.append(photo.name)
        camera_of_photo.append(list(focals).index(key))
    mapped = [i for i, name in enumerate(names) if training is None or name in training]
    if len(mapped) < MIN_PHOTOS:
        raise InputError(_too_few(len(mapped), len(left_out), given=given))
    request = Request(
        folder=folder,
        config=config,
        cameras=tuple(
            SharedCamera(
                width=width,
                height=height,
                focal_px=_median(known[True] or known[False]),
                camera_model=model,
            )
            for (_, width, height, model), known in focals.items()
        ),
        camera_of_photo=tuple(camera_of_photo),
        camera_from_world=np.stack(poses) if given else None,
        training=None if training is None else tuple(mapped),
    )
    return request, names, left_out


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _too_few(kept: int, left_out: int, *, given: bool) -> str:
    if given:
        return (
            f"{kept} of {kept + left_out} photos have a given pose and at least {MIN_PHOTOS} are "
            "needed; give more, or set sfm.poses to 'estimate'"
        )
    photos = "1 photo was" if kept == 1 else f"{kept} photos were"
    return (
        f"{photos} given and structure from motion needs at least {MIN_PHOTOS}; add "
        "photos of the same scene that overlap"
    )
