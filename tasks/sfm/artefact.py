"""Layout of a reconstruction in the store, and its reader.

Arrays: ``camera_from_world`` [n 4 4], ``intrinsics`` [n 3 3], ``sizes`` [n 2] and
``pose_confidence`` [n] of the registered photos; ``points`` [m 3] and their observations
``point_index``, ``photo_index`` and ``xy``, which all photos gave together; ``keypoint_photo``,
``keypoint_xy`` and ``pairs``, which each two photos gave by themselves, see
:class:`tasks.sfm.matches.Matches`; the undistorted photos ``photo_0000``, ``photo_0001``, ...
(uint8, [h w 3]), in the cameras' order; and ``mask_0007`` (bool, [h w]), undistorted too, for those
of them that have one.

The attribute ``world`` tells what the world is: ``upright`` (z points up), ``metric`` (a unit is a
metre), by what ``source``, with the RMS distance ``residual_m`` from the ``positions`` that fixed
it; ``world_from_model`` has the similarity (``scale``, ``rotation``, ``translation``) that took the
mapper's world to it, and ``gps_origin`` latitude, longitude and height of its origin. Arrays are in
that world.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from storage.handles import ArrayHandle
from storage.store import NamedArray
from tasks.artefacts import Lazy, read_cameras
from tasks.artefacts import arrays_of as arrays_of_cameras
from tasks.errors import InputError
from tasks.ingest.artefact import Photos
from tasks.sfm.config import SfmConfig
from tasks.sfm.matches import Matches
from tasks.sfm.reconstruct import GivenPose, Poses, Reconstruction, SourcePhoto
from tasks.sfm.triangulate import Observations


def poses_of(photos: Photos, config: SfmConfig, *, own_poses: bool = False) -> Poses:
    """Whether poses are given with the photos or estimated, by the config.

    Args:
        own_poses: whether they are to come from the training photos alone.

    Raises:
        InputError: the config requires given cameras and none came with the photos; or they are
            used, and poses were to come from the training photos.
    """
    poses = _asked_poses(photos, config)
    if own_poses and poses == "given":
        raise InputError(
            "the protocol is 'own-poses', which estimates poses from the training photos, and the "
            "photos came with poses, which sfm.poses takes as given; set sfm.poses to 'estimate', "
            "or the protocol to 'shared-poses'"
        )
    return poses


def _asked_poses(photos: Photos, config: SfmConfig) -> Poses:
    if config.poses == "given" and photos.reference_kind is None:
        raise InputError(
            f"sfm.poses is 'given' and none of the {len(photos)} photos came with a camera; add a "
            "COLMAP model, transforms.json or cameras_gt.json, or set sfm.poses to 'auto'"
        )
    if config.world == "reference" and photos.reference_kind is None:
        raise InputError(
            f"sfm.world is 'reference' and none of the {len(photos)} photos came with a camera; "
            "add cameras, or set sfm.world to 'auto'"
        )
    if config.poses == "auto":
        return "given" if photos.reference_kind in ("colmap", "transforms") else "estimated"
    return "given" if config.poses == "given" else "estimated"


def source_photos(photos: Photos) -> Iterator[SourcePhoto]:
    """The stored photos, one at a time."""
    given: dict[str, GivenPose] = {}
    if (reference := photos.reference()) is not None:
        given = {
            name: GivenPose(camera_from_world=pose, camera_model=model)
            for name, pose, model in zip(
                reference.names, reference.camera_from_world, photos.reference_models(), strict=True
            )
        }
    masked = set(photos.mask_names)
    for index, info in enumerate(photos.infos):
        yield SourcePhoto(
            name=info.name,
            pixels=photos.pixels(index),
            camera=info.camera,
            focal_px=info.focal_px,
            given=given.get(info.name),
            mask=photos.mask(info.name) if info.name in masked else None,
            gps=info.gps,
        )


def arrays_of(found: Reconstruction) -> Iterator[NamedArray]:
    """The arrays of a reconstruction, its photos one at a time."""
    seen = found.observations
    yield from arrays_of_cameras(found.cameras, dim="camera")
    yield NamedArray(
        name="pose_confidence", values=found.confidence, dims=("camera",), may_be_nan=True
    )
    yield NamedArray(name="points", values=found.points, dims=("point", "xyz"))
    yield NamedArray(name="point_index", values=seen.point_index, dims=("observation",))
    yield NamedArray(name="photo_index", values=seen.photo_index, dims=("observation",))
    yield NamedArray(name="xy", values=seen.xy, dims=("observation", "pixel_xy"))
    matches = found.matches
    yield NamedArray(name="keypoint_photo", values=matches.photo_index, dims=("keypoint",))
    yield NamedArray(name="keypoint_xy", values=matches.xy, dims=("keypoint", "pixel_xy"))
    yield NamedArray(name="pairs", values=matches.pairs, dims=("match", "side"))
    for index, pixels in enumerate(found.photos):
        yield NamedArray(name=f"photo_{index:04d}", values=pixels, dims=("y", "x", "channel"))
        if (mask := found.masks[index]) is not None:
            yield NamedArray(name=f"mask_{index:04d}", values=mask, dims=("y", "x"))


def attributes_of(found: Reconstruction, *, own_poses: bool = False) -> dict[str, Any]:
    """Attributes beside the arrays, JSON-able.

    Args:
        own_poses: whether poses come from the training photos alone.
    """
    return {
        "protocol": "own-poses" if own_poses else "shared-poses",
        "names": list(found.cameras.names),
        "masked": [index for index, mask in enumerate(found.masks) if mask is not None],
        "unregistered": list(found.unregistered),
        "poses": found.poses,
        "reprojection_error_px": found.reprojection_error_px,
        "model_sizes": list(found.model_sizes),
        "localised": list(found.localised),
        "sure": None if found.poses == "given" else found.sure.tolist(),
        "left_out": [[name, found.left_out[name]] for name in found.unregistered],
        "rungs": [dataclasses.asdict(rung) for rung in found.rungs],
        "pairing": found.pairing,
        "matched_pairs": found.matched_pairs,
        "world": found.frame.attributes() | {"gps_origin": found.gps_origin},
    }


class Sparse:
    """A stored reconstruction; photos and masks are read on access."""

    def __init__(self, stored: ArrayHandle) -> None:
        masked = frozenset(stored.attributes["masked"])
        self.cameras = read_cameras(stored, stored.attributes["names"])
        self.observations = Observations(
            point_index=stored.array("point_index"),
            photo_index=stored.array("photo_index"),
            xy=stored.array("xy"),
        )
        self.matches = Matches(
            photo_index=stored.array("keypoint_photo"),
            xy=stored.array("keypoint_xy"),
            pairs=stored.array("pairs"),
        )
        self.photos: Sequence[UInt8[np.ndarray, "_ _ 3"]] = Lazy(
            len(self.cameras), lambda index: stored.array(f"photo_{index:04d}")
        )
        self.masks: Sequence[Bool[np.ndarray, "_ _"] | None] = Lazy(
            len(self.cameras),
            lambda index: stored.array(f"mask_{index:04d}") if index in masked else None,
        )
        """Of ``photos``: true where they may be used; None = everywhere."""

    def photo(self, name: str) -> UInt8[np.ndarray, "_ _ 3"]:
        return self.photos[self.cameras.names.index(name)]
