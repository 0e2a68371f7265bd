"""Poses of further photos against a finished model, which stays as it is.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from tasks.sfm.exchange import Request
from tasks.sfm.verified import verified_pairs

MIN_INLIERS = 15
"""Half of what COLMAP's mapper demands; what they are worth, the pairs tell afterwards."""


def localise_photos(
    model: pycolmap.Reconstruction, request: Request, photos: Sequence[int], database: Path
) -> tuple[int, ...]:
    """Register photos in a model by their matches with its photos.

    The pose of each is estimated from the points that its matches show, by LO-RANSAC, and refined
    on the inliers; the model's points, poses and intrinsics stay. A photo whose camera no photo of
    the model has gets a focal length of its own, unless it is known beforehand.

    Args:
        model: gets the photos that were found.
        photos: indices in the request.
        database: with verified matches.

    Returns:
        The photos found; at least 15 inliers each.
    """
    opened = pycolmap.Database.open(str(database))
    seen = _matched_points(model, opened)
    found = tuple(photo for photo in photos if _localised(model, opened, photo + 1, seen, request))
    opened.close()
    return found


def _matched_points(
    model: pycolmap.Reconstruction, database: pycolmap.Database
) -> dict[int, set[tuple[int, int]]]:
    """Of each image outside the model: its keypoints and the points that their matches show."""
    registered = set(model.reg_image_ids())
    seen: dict[int, set[tuple[int, int]]] = {}
    for images, matches in verified_pairs(database):
        for (known, other), pairs in ((images, matches), (images[::-1], matches[:, ::-1])):
            if known not in registered or other in registered:
                continue
            image = model.image(known)
            for mine, theirs in pairs.tolist():
                if (shown := image.point2D(mine)).has_point3D():
                    seen.setdefault(other, set()).add((theirs, shown.point3D_id))
    return seen


def _localised(
    model: pycolmap.Reconstruction,
    database: pycolmap.Database,
    image_id: int,
    seen: dict[int, set[tuple[int, int]]],
    request: Request,
) -> bool:
    """Register one image if it can be; whether it was."""
    matched = np.array(sorted(seen.get(image_id, ())), dtype=np.int64).reshape(-1, 2)
    if len(matched) < MIN_INLIERS:
        return False
    camera_id = request.camera_of_photo[image_id - 1] + 1
    is_known = model.exists_camera(camera_id)
    camera = model.camera(camera_id) if is_known else database.read_camera(camera_id)
    estimation = pycolmap.AbsolutePoseEstimationOptions()
    estimation.ransac.random_seed = request.config.seed
    estimation.estimate_focal_length = not (is_known or camera.has_prior_focal_length)
    refinement = pycolmap.AbsolutePoseRefinementOptions()
    refinement.refine_focal_length = estimation.estimate_focal_length
    keypoints = np.asarray(database.read_keypoints(image_id), dtype=np.float64)
    pose = pycolmap.estimate_and_refine_absolute_pose(
        keypoints[matched[:, 0], :2],
        np.array([model.point3D(point).xyz for point in matched[:, 1]]),
        camera,
        estimation,
        refinement,
    )
    if pose is None or pose["num_inliers"] < MIN_INLIERS:
        return False
    if not is_known:
        model.add_camera(camera)
        model.add_rig(database.read_rig(camera_id))
    if model.exists_frame(image_id):  # taken out before
        model.frame(image_id).rig_from_world = pose["cam_from_world"]
    else:
        frame = database.read_frame(image_id)
        frame.rig_from_world = pose["cam_from_world"]
        image = database.read_image(image_id)
        image.frame_id = image_id
        model.add_frame(frame)
        model.add_image(image)
    model.register_frame(image_id)
    return True
