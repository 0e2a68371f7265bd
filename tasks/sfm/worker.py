"""Structure from motion in a child process: this and what it imports touch pycolmap.

pycolmap and Pillow in one process have corrupted its memory, so nothing here imports Pillow.

Source: Schoenberger and Frahm, Structure-from-Motion Revisited, CVPR 2016 (COLMAP).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from tasks.errors import InputError
from tasks.sfm import child
from tasks.sfm.child import Report
from tasks.sfm.exchange import Request, Result, SharedCamera
from tasks.sfm.given import triangulate_given
from tasks.sfm.localise import localise_photos
from tasks.sfm.pairs import pairs_to_match
from tasks.sfm.undistort import undistort, undistorted_pixels
from tasks.sfm.verified import verified_matches

MIN_PHOTOS = 3
RELAXED_MIN_INLIERS = 15
"""COLMAP demands 30 to register a photo. At 15 all the photos but one of a wide orbit were found,
at 30 only half of them."""

_SHARE_AFTER = {"features": 0.35, "matching": 0.65, "mapping": 0.95}
"""Typical shares of the time on photos of about a megapixel."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mapped:
    """The largest model, and where it comes from."""

    model: pycolmap.Reconstruction
    sizes: tuple[int, ...]
    """Photos in each model found, largest first."""
    relaxed: bool
    localised: tuple[int, ...]
    """Photos in the model that took no part in making it."""


def work(folder: Path, report: Report) -> None:
    """Read the request in ``folder``, write the result there.

    Raises:
        InputError: too few photos could be registered, or the given poses do not fit them.
    """
    request = Request.read(folder)
    pycolmap.set_random_seed(request.config.seed)
    write_photo_list(request)
    extract_features(request, report)
    match_features(request, report)
    if request.camera_from_world is None:
        models, relaxed = map_photos(request, report)
        model = largest_model(models, request)
        others = sorted(set(range(len(request.camera_of_photo))).difference(request.mapped))
    else:
        report(_SHARE_AFTER["matching"], "triangulating with the given poses")
        model = triangulate_given(request)
        models, relaxed, others = [model], False, []
    found = Mapped(
        model=model,
        sizes=tuple(one.num_reg_images() for one in models),
        relaxed=relaxed,
        localised=localise_photos(model, request, others) if others else (),
    )
    write_result(found, request, report)


def write_photo_list(request: Request) -> None:
    """Declare cameras and photos, so that photos of one camera share its intrinsics."""
    database = pycolmap.Database.open(str(request.database))
    for camera_id, camera in enumerate(request.cameras, start=1):
        declared = _declared(camera, camera_id, request.config.camera_model)
        database.write_camera(declared, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=camera_id)
        rig.add_ref_sensor(declared.sensor_id)
        database.write_rig(rig, use_rig_id=True)
    for image_id, camera_index in enumerate(request.camera_of_photo, start=1):
        image = pycolmap.Image(
            name=request.photo_name(image_id - 1), camera_id=camera_index + 1, image_id=image_id
        )
        database.write_image(image, use_image_id=True)
        frame = pycolmap.Frame(frame_id=image_id, rig_id=camera_index + 1)
        frame.add_data_id(image.data_id)
        database.write_frame(frame, use_frame_id=True)
    database.close()


def _declared(camera: SharedCamera, camera_id: int, estimated_model: str) -> pycolmap.Camera:
    if camera.camera_model is not None:
        declared = pycolmap.Camera(
            camera_id=camera_id,
            model=camera.camera_model.model,
            width=camera.width,
            height=camera.height,
            params=camera.camera_model.params,
        )
        declared.has_prior_focal_length = True
        return declared
    guess = 1.2 * max(camera.width, camera.height)  # COLMAP's, a field of view of about 45 deg
    declared = pycolmap.Camera.create_from_model_name(
        camera_id, estimated_model, camera.focal_px or guess, camera.width, camera.height
    )
    declared.has_prior_focal_length = camera.focal_px is not None
    return declared


def extract_features(request: Request, report: Report) -> None:
    """SIFT, a few photos at a time for the sake of progress."""
    options = pycolmap.FeatureExtractionOptions()
    options.sift.max_num_features = request.config.max_features
    options.num_threads = request.threads
    count = len(request.camera_of_photo)
    batch = 4 * request.threads
    report(0.0, f"features of 0 of {count} photos")
    for start in range(0, count, batch):
        stop = min(start + batch, count)
        names = [request.photo_name(i) for i in range(start, stop)]
        masked = [n for n in names if (request.mask_folder / request.mask_name(n)).exists()]
        plain = [n for n in names if n not in masked]
        # Apart: with a folder of masks, a photo that has none in there gets no features at all.
        for chosen, masks in ((plain, None), (masked, request.mask_folder)):
            reading = pycolmap.ImageReaderOptions()
            if masks is not None:
                reading.mask_path = str(masks)
            if chosen:  # no names would mean every photo
                pycolmap.extract_features(
                    str(request.database),
                    str(request.photo_folder),
                    image_names=chosen,
                    reader_options=reading,
                    extraction_options=options,
                    device=pycolmap.Device.cpu,
                )
        report(_SHARE_AFTER["features"] * stop / count, f"features of {stop} of {count} photos")


def match_features(request: Request, report: Report) -> None:
    """Match and verify the pairs, some hundreds at a time for the sake of progress."""
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = request.threads
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = request.config.seed
    pairing = pycolmap.ImportedPairingOptions()
    pairs = pairs_to_match(len(request.camera_of_photo), request.config)
    # Each call loads the descriptors of its photos anew, so not too many calls.
    batch = max(200, len(pairs) // 20)
    before, after = _SHARE_AFTER["features"], _SHARE_AFTER["matching"]
    for start in range(0, len(pairs), batch):
        chosen = pairs[start : start + batch]
        pair_list = request.folder / "pairs.txt"
        pair_list.write_text(
            "".join(f"{request.photo_name(i)} {request.photo_name(j)}\n" for i, j in chosen)
        )
        pairing.match_list_path = str(pair_list)
        pycolmap.match_image_pairs(
            str(request.database),
            matching_options=matching,
            pairing_options=pairing,
            verification_options=verification,
            device=pycolmap.Device.cpu,
        )
        stop = start + len(chosen)
        report(
            before + (after - before) * stop / len(pairs), f"matched {stop} of {len(pairs)} pairs"
        )


def map_photos(request: Request, report: Report) -> tuple[list[pycolmap.Reconstruction], bool]:
    """All models of the first attempt, or of a relaxed second one if its largest is larger.

    Returns:
        The models, largest first, and whether they are of the relaxed attempt.
    """
    models = _incremental_mapping(request, report, relaxed=False)
    count = len(request.mapped)
    registered = models[0].num_reg_images() if models else 0
    if registered < request.config.relax_below * count:
        second = _incremental_mapping(request, report, relaxed=True)
        if second and second[0].num_reg_images() > registered:
            return second, True
    return models, False


def _incremental_mapping(
    request: Request, report: Report, *, relaxed: bool
) -> list[pycolmap.Reconstruction]:
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = request.threads
    options.random_seed = request.config.seed
    options.min_model_size = MIN_PHOTOS
    options.ba_refine_principal_point = request.config.refine_principal_point
    options.extract_colors = False
    options.image_names = [request.photo_name(photo) for photo in request.mapped]
    if relaxed:
        options.mapper.abs_pose_min_num_inliers = RELAXED_MIN_INLIERS
    count = len(request.mapped)
    before, after = _SHARE_AFTER["matching"], _SHARE_AFTER["mapping"]
    registered = 0
    furthest = 0

    def start_model() -> None:
        nonlocal registered
        registered = 2

    def add_photo() -> None:
        nonlocal registered, furthest
        registered += 1
        furthest = max(furthest, registered)  # of all the models begun, and never backwards
        share = before + (after - before) * min(furthest / count, 1.0)
        report(share, f"registered {registered} of {count} photos")

    output = request.folder / ("relaxed" if relaxed else "mapped")
    output.mkdir()
    models = pycolmap.incremental_mapping(
        str(request.database),
        str(request.photo_folder),
        str(output),
        options,
        initial_image_pair_callback=start_model,
        next_image_callback=add_photo,
    )
    return sorted(models.values(), key=lambda model: -model.num_reg_images())


def largest_model(
    models: list[pycolmap.Reconstruction], request: Request
) -> pycolmap.Reconstruction:
    """The first of ``models`` if it is worth going on with.

    Raises:
        InputError: there is none, or it has too few of the photos.
    """
    count = len(request.mapped)
    if not models:
        tried, verified = _counted_pairs(request)
        raise InputError(
            f"none of the {count} photos could be registered: {verified} of {tried} pairs of "
            "photos show the same scene, and no pair has enough points and parallax to start "
            "from; add photos that overlap more, of a scene with more texture"
        )
    registered = models[0].num_reg_images()
    needed = max(MIN_PHOTOS, int(np.ceil(request.config.min_registered_share * count)))
    if registered < needed:
        sizes = ", ".join(str(model.num_reg_images()) for model in models)
        raise InputError(
            f"{registered} of {count} photos could be registered together (groups found: {sizes}), "
            f"and at least {needed} are needed; add photos that overlap more and link the groups"
        )
    return models[0]


def _counted_pairs(request: Request) -> tuple[int, int]:
    """Pairs of mapped photos that were matched, and those of them that show the same scene."""
    mapped = set(request.mapped)
    every = pairs_to_match(len(request.camera_of_photo), request.config)
    database = pycolmap.Database.open(str(request.database))
    pair_ids, inliers = database.read_two_view_geometry_num_inliers()
    database.close()
    verified = sum(
        number > 0  # one without inliers is stored too
        and mapped.issuperset(image - 1 for image in pycolmap.pair_id_to_image_pair(pair_id))
        for pair_id, number in zip(pair_ids, inliers, strict=True)
    )
    return sum(mapped.issuperset(pair) for pair in every), verified


def write_result(
    found: Mapped,
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
        report(
            _SHARE_AFTER["mapping"] + (1 - _SHARE_AFTER["mapping"]) * finished,
            f"undistorted {index + 1} of {len(registered)} photos",
        )
    matches = verified_matches(model, request.database, pinholes)
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
        relaxed=found.relaxed,
        localised=np.array(found.localised, dtype=np.int64),
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
