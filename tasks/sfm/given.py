"""Points for cameras that are given: poses and camera models stay exactly as they are.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

from dataclasses import dataclass

import numpy as np
import pycolmap

from tasks.errors import InputError
from tasks.sfm.epipolar import epipolar_errors
from tasks.sfm.exchange import Request
from tasks.sfm.verified import verified_pairs

MIN_POINTS = 50
"""Poses whose translations had the wrong sign still left 17 and 20 points of 60,011 and 39,638
matches; the smooth, dark photos of a plaster figure 575 with the right ones."""

MAX_ERROR_PX = 4.0
"""COLMAP's limit for an observation of a point."""

MIN_AGREEING_SHARE = 0.3
"""Right poses had 0.99 of the matches agree on three scenes, poses that are 1 deg off by chance 0.5
to 0.6; wrong axes, inverted and shuffled poses had at most 0.25."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How many of the matches that hold without the given poses hold with them too."""

    pairs: int
    matches: int
    agreeing: int

    @property
    def share(self) -> float:
        return self.agreeing / self.matches


def triangulate_given(request: Request) -> pycolmap.Reconstruction:
    """Triangulate the verified matches in the database with the cameras of the request.

    Raises:
        InputError: the photos do not match one another, or the poses do not fit the matches.
    """
    count = len(request.camera_of_photo)
    agreement = measure_agreement(request)
    if agreement.matches == 0:
        raise InputError(
            f"no two of the {count} photos with given poses show the same features, so no point "
            "can be triangulated; add photos that overlap more, of a scene with more texture"
        )
    found = (
        f"{agreement.agreeing} of {agreement.matches} matches ({100 * agreement.share:.0f} %) in "
        f"{agreement.pairs} pairs of photos lie within {MAX_ERROR_PX:g} px of where the given "
        "poses put them"
    )
    advice = (
        "check their axes (x right, y down, z forward), their direction (from the world to the "
        "camera) and which pose belongs to which photo, or set sfm.poses to 'estimate'"
    )
    if agreement.share < MIN_AGREEING_SHARE:
        raise InputError(
            f"the given poses do not fit the photos: {found}, and of right poses nearly all do; "
            f"{advice}"
        )
    model = _triangulate(request)
    if model.num_points3D() < MIN_POINTS:
        raise InputError(
            f"only {model.num_points3D()} points could be triangulated from the {count} given "
            f"poses and at least {MIN_POINTS} are needed ({found}); add photos that overlap more, "
            f"or, where they do, {advice}"
        )
    return model


def measure_agreement(request: Request) -> Agreement:
    """Compare the verified matches with the epipolar lines of the given cameras."""
    assert request.camera_from_world is not None
    database = pycolmap.Database.open(str(request.database))
    pairs = matches = agreeing = 0
    for images, matched in verified_pairs(database):
        rays, focals_px, poses = [], [], []
        for image_id, chosen in zip(images, matched.T, strict=True):
            camera = database.read_camera(request.camera_of_photo[image_id - 1] + 1)
            xy = np.asarray(database.read_keypoints(image_id), dtype=np.float64)[chosen, :2]
            rays.append(camera.cam_from_img(xy))
            focals_px.append(camera.mean_focal_length())
            poses.append(request.camera_from_world[image_id - 1])
        errors = epipolar_errors(rays[0], rays[1], poses[1] @ np.linalg.inv(poses[0]))
        pairs += 1
        matches += len(matched)
        agreeing += int((errors * np.mean(focals_px) < MAX_ERROR_PX).sum())
    database.close()
    return Agreement(pairs=pairs, matches=matches, agreeing=agreeing)


def _triangulate(request: Request) -> pycolmap.Reconstruction:
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = request.threads
    options.random_seed = request.config.seed
    options.extract_colors = False
    # Seen by two photos only: of no use for finding poses, but as good as others where these are
    # known (85 % instead of 88 % within 10 % of the depth maps of an office), and half of all.
    options.triangulation.ignore_two_view_tracks = False
    for limits in (options, options.mapper, options.triangulation):
        # What an estimate may come to at most; a known focal length may be longer.
        limits.min_focal_length_ratio = 1e-6
        limits.max_focal_length_ratio = 1e6
        limits.max_extra_param = 1e6
    output = request.folder / "triangulated"
    output.mkdir()
    return pycolmap.triangulate_points(
        _given_cameras(request),
        str(request.database),
        str(request.photo_folder),
        str(output),
        options=options,
        refine_intrinsics=False,
    )


def _given_cameras(request: Request) -> pycolmap.Reconstruction:
    """The cameras of the database, under the same numbers, at the given poses."""
    assert request.camera_from_world is not None
    database = pycolmap.Database.open(str(request.database))
    model = pycolmap.Reconstruction()
    for camera in database.read_all_cameras():
        model.add_camera(camera)
    for rig in database.read_all_rigs():
        model.add_rig(rig)
    for image_id, pose in enumerate(request.camera_from_world, start=1):
        frame = database.read_frame(image_id)
        frame.rig_from_world = pycolmap.Rigid3d(pycolmap.Rotation3d(pose[:3, :3]), pose[:3, 3])
        model.add_frame(frame)
        image = database.read_image(image_id)
        image.frame_id = image_id
        model.add_image(image)
        model.register_frame(image_id)
    database.close()
    return model
