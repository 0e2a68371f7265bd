"""Structure from motion in a child process: this and what it imports touch pycolmap.

pycolmap and Pillow in one process have corrupted its memory, so nothing here imports Pillow.

Source: Schoenberger and Frahm, Structure-from-Motion Revisited, CVPR 2016 (COLMAP).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from tasks.errors import InputError
from tasks.sfm import child
from tasks.sfm.child import Report, part
from tasks.sfm.database import write_photo_list
from tasks.sfm.evidence import MAX_EXCESS, excess, misfits, repeats
from tasks.sfm.exchange import Request, Result, Rung
from tasks.sfm.finish import finish, with_further
from tasks.sfm.given import triangulate_given
from tasks.sfm.ladder import Climbed, climb
from tasks.sfm.mappers import least_photos
from tasks.sfm.pairs.choose import Pairing
from tasks.sfm.reasons import matched_images, reasons
from tasks.sfm.sift import extract_features, match_features, pairs_of
from tasks.sfm.sift_cache import SiftCache
from tasks.sfm.undistort import undistort, undistorted_pixels
from tasks.sfm.verified import verified_matches

_MATCHED, _MAPPED = 0.5, 0.95
"""Typical shares of the time after matching and after mapping."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """A model, and what is known of its photos."""

    model: pycolmap.Reconstruction
    sizes: tuple[int, ...]
    """Photos in each model found, largest first."""
    confidence: Mapping[int, float] | None
    """Of each image; None where poses are given."""
    sure: frozenset[int]
    localised: tuple[int, ...]
    """Photos in the model that took no part in making it."""
    rungs: tuple[Rung, ...]
    left_out: tuple[tuple[int, str], ...]
    """Photos without a pose, and why."""
    verified: Path
    """Database with the matches, verified by COLMAP's defaults."""


def work(folder: Path, report: Report) -> None:
    """Read the request in ``folder``, write the result there.

    Raises:
        InputError: too few photos have a pose that can be believed, or the given poses do not fit.
    """
    request = Request.read(folder)
    pycolmap.set_random_seed(request.config.seed)
    write_photo_list(request, request.database)
    cache = SiftCache.of(request)
    extract_features(request, cache, part(report, 0.0, _MATCHED))
    pairing = pairs_of(request)
    match_features(request, pairing, cache, part(report, 0.0, _MATCHED))
    if request.camera_from_world is not None:
        report(_MATCHED, "triangulating with the given poses")
        model = triangulate_given(request)
        found = Found(
            model=model,
            sizes=(model.num_reg_images(),),
            confidence=None,
            sure=frozenset(model.reg_image_ids()),
            localised=(),
            rungs=(),
            left_out=(),
            verified=request.database,
        )
    else:
        found = estimate(request, pairing, part(report, _MATCHED, _MAPPED))
    write_result(found, pairing, request, part(report, _MAPPED, 1.0))


def estimate(request: Request, pairing: Pairing, report: Report) -> Found:
    """Poses of the photos that can be believed, and why others have none.

    Raises:
        InputError: there are too few.
    """
    climbed = climb(request, pairing.pairs, report)
    found = None
    if climbed.best is not None:
        found = finish(climbed.best, request, climbed.databases, climbed.pieces)
    images = {photo + 1 for photo in range(len(request.camera_of_photo))}
    mapped = {photo + 1 for photo in request.mapped}
    if found is None or len(found.images) < _needed(request):
        raise InputError(_too_few(request, climbed, len(found.images) if found else 0))
    further = sorted(images - mapped)
    if further:
        found = with_further(found, request, climbed.databases, [one - 1 for one in further])
    kept = set(found.images)
    why = reasons(climbed, sorted(images - kept))
    return Found(
        model=found.model,
        sizes=tuple(len(group) for group in climbed.groups),
        confidence=found.confidence,
        sure=found.sure,
        localised=tuple(one - 1 for one in further if one in kept),
        rungs=climbed.rungs,
        left_out=tuple((image - 1, reason) for image, reason in why.items()),
        verified=climbed.databases.verified,
    )


def _needed(request: Request) -> int:
    share = request.config.min_registered_share
    return max(least_photos(request), int(np.ceil(share * len(request.mapped))))


def _too_few(request: Request, climbed: Climbed, sure: int) -> str:
    """Why a scene has no model, and what to photograph."""
    count, needed = len(request.mapped), _needed(request)
    best = climbed.best
    if best is None:
        mapped = {photo + 1 for photo in request.mapped}
        linked = mapped & matched_images(climbed.databases.verified).keys()
        return (
            f"none of the {count} photos could be registered: {len(linked)} of them match another "
            "one, and no pair has enough points and parallax to start from; add photos that "
            "overlap more, of a scene with more texture, each a step to the side of the last"
        )
    turned = sum(pair.turned for pair in best.pairs)
    if turned > len(best.pairs) / 2:
        return (
            f"in {turned} of {len(best.pairs)} pairs of matching photos the camera only turned; "
            "photos from one spot show no depth; take them from places that differ by about a "
            "tenth of the distance to the scene"
        )
    if repeats(len(best.images), best.pairs):
        misfitting, tried = misfits(len(best.images), best.pairs)
        return (
            f"{misfitting} of {tried} pairs of matching photos do not fit the best model, as where "
            "parts of the scene look alike; add photos that show what tells the parts apart, or "
            "leave out those that show one part alone"
        )
    if (more := excess(best.pairs)) > MAX_EXCESS:
        return (
            f"the matches lie {more:.1f} times as far from the best model as from the geometry of "
            "each pair alone, as where a focal length is wrong, and these photos leave it open; "
            "keep the EXIF data of the photos, or add some from other heights and directions"
        )
    sizes = ", ".join(str(len(group)) for group in climbed.groups)
    return (
        f"{sure} of {count} photos have a pose that their matches confirm, of {len(best.images)} "
        f"that could be registered together (groups found: {sizes}), and at least {needed} are "
        "needed; add photos between these, so that each overlaps with two others by half"
    )


def write_result(
    found: Found,
    pairing: Pairing,
    request: Request,
    report: Report,
) -> None:
    """Undistort the registered photos and write them, the cameras, the tracks and the matches."""
    model = found.model
    registered = sorted(model.reg_image_ids())
    point_ids = sorted(model.point3D_ids())
    poses, pinholes, seen_ids, seen_xy = [], [], [], []
    request.undistorted_folder.mkdir()
    for index, image_id in enumerate(registered):
        image = model.image(image_id)
        camera = model.camera(image.camera_id)
        source = request.photo_folder / image.name
        bitmap = pycolmap.Bitmap.read(str(source), as_rgb=True)
        undistorted, pinhole = undistort(bitmap, camera)
        np.save(request.undistorted_photo(index), undistorted.to_array())
        source.unlink()  # the work folder need not hold every photo twice
        mask = request.mask_folder / request.mask_name(image.name)
        if mask.exists():
            levels, _ = undistort(pycolmap.Bitmap.read(str(mask), as_rgb=False), camera)
            # Interpolated: below 255 a masked-out pixel had a part in this one.
            used = levels.to_array().reshape(levels.height, levels.width) == 255
            np.save(request.undistorted_mask(index), used)
        poses.append(_pose(image, request))
        pinholes.append(pinhole)
        seen = image.get_observation_points2D()
        seen_ids.append(np.array([point.point3D_id for point in seen], dtype=np.int64))
        distorted = np.array([point.xy for point in seen], dtype=np.float64).reshape(-1, 2)
        seen_xy.append(undistorted_pixels(distorted, camera, pinhole))
        finished = (index + 1) / len(registered)
        report(finished, f"undistorted {index + 1} of {len(registered)} photos")
    matches = verified_matches(model, found.verified, pinholes)
    Result(
        photos=np.array(registered, dtype=np.int64) - 1,
        camera_from_world=np.stack(poses),
        intrinsics=np.stack([one.calibration_matrix() for one in pinholes]),
        sizes=np.array([(one.width, one.height) for one in pinholes], dtype=np.int64),
        points=np.array([model.point3D(i).xyz for i in point_ids], dtype=np.float64).reshape(-1, 3),
        point_index=np.searchsorted(point_ids, np.concatenate(seen_ids)).astype(np.int32),
        photo_index=np.repeat(np.arange(len(registered)), [len(ids) for ids in seen_ids]).astype(
            np.int32
        ),
        xy=np.concatenate(seen_xy),
        keypoint_photo=matches.photo_index,
        keypoint_xy=matches.xy,
        pairs=matches.pairs,
        reprojection_error_px=float(model.compute_mean_reprojection_error()),
        model_sizes=found.sizes,
        rungs=found.rungs,
        sure=np.array([one in found.sure for one in registered]),
        confidence=np.array(
            [np.nan if found.confidence is None else found.confidence[one] for one in registered],
            dtype=np.float32,
        ),
        left_out=found.left_out,
        localised=np.array(found.localised, dtype=np.int64),
        pairing=pairing.kind,
        matched_pairs=len(pairing.pairs),
    ).write(request.folder)


def _pose(image: pycolmap.Image, request: Request) -> np.ndarray:
    """``camera_from_world`` [4 4]; a given one to its last bit, which quaternions do not keep."""
    found = np.vstack([image.cam_from_world().matrix(), [0.0, 0.0, 0.0, 1.0]])
    if request.camera_from_world is None:
        return found
    given: np.ndarray = request.camera_from_world[image.image_id - 1]
    assert np.allclose(found, given, rtol=1e-9, atol=1e-9), "triangulation moved a given pose"
    return given


if __name__ == "__main__":
    child.serve(work)
