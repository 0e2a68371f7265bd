"""One system on one folder of photos, in a process of its own; a half of ``benchmarks/sfm.py``.

``python sfm_system.py REQUEST.json`` with PYTHONPATH at a checkout of this project, whose stages
ingest and sfm are run, or whose place is taken by plain pycolmap. What came of it is written as
JSON, with the seconds and CPU seconds of structure from motion alone, of all its processes. The
undistorted photos and their cameras are kept where a folder is given for them.
"""

import importlib.util
import json
import resource
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from storage.errors import UnseenError
from storage.store import Store
from tasks.config import overridden
from tasks.errors import MachineError
from tasks.ingest import run as ingest
from tasks.ingest.config import IngestConfig
from tasks.ingest.source import digest_source, find_files
from tasks.runtime.context import Context
from tasks.sfm import run as sfm
from tasks.sfm.config import SfmConfig

CAMERAS = "cameras.json"
MIN_MODEL = 3


class Clock:
    """Seconds, and CPU seconds of this process and of those it has waited for."""

    def __init__(self) -> None:
        self._start = self._now()

    def _now(self) -> tuple[float, float]:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)

    def read(self) -> dict[str, float]:
        (start, start_cpu), (now, cpu) = self._start, self._now()
        return {"seconds": now - start, "cpu_seconds": cpu - start_cpu}


def project(
    photos: Path, config: IngestConfig, options: SfmConfig, keep: Path | None = None
) -> dict[str, Any]:
    """The stages ingest and sfm, one after the other.

    Returns:
        ``error`` where the scene was refused, else ``cameras``, ``sure``, ``left_out``, ``rungs``;
        and what both took.
    """
    with TemporaryDirectory(prefix="unseen-benchmark-") as folder:
        store, context = Store(root=folder), Context(threads=1)
        with store.writer("scene", "photos") as out:
            read = ingest.run(out, context, source=digest_source(photos), config=config)
        clock = Clock()
        try:
            with store.writer("scene", "sparse") as out:
                sparse = sfm.run(
                    out, context, photos=read, config=options, **networks(photos, options)
                )
        except MachineError:
            raise  # a crash says nothing of the photos
        except UnseenError as error:
            return {"error": str(error), **clock.read()}
        spent = clock.read()
        about = sparse.attributes
        names = about["names"]
        confidence = [1.0] * len(names)
        if "sure" in about:
            confidence = sparse.array("pose_confidence").astype(float).tolist()
        if keep is not None:
            arrays = (sparse.array(f"photo_{index:04d}") for index in range(len(names)))
            poses, intrinsics = sparse.array("camera_from_world"), sparse.array("intrinsics")
            keep_photos(keep, arrays, names, poses, intrinsics)
        return {
            "cameras": cameras_json(
                names,
                *(sparse.array(name) for name in ("camera_from_world", "intrinsics", "sizes")),
            ),
            "sure": about.get("sure", [True] * len(names)),
            "confidence": confidence,
            "left_out": about.get("left_out", [[name, ""] for name in about["unregistered"]]),
            "rungs": about.get("rungs", []),
            "relaxed": about.get("relaxed", False),
            "reprojection_error_px": about["reprojection_error_px"],
            **spent,
        }


def networks(photos: Path, options: SfmConfig) -> dict[str, Any]:
    """The weights of networks that the stage takes; none in checkouts before it took any."""
    if importlib.util.find_spec("tasks.sfm.weights") is None:
        return {}
    from tasks.sfm.weights import weights_for

    return {"weights": weights_for(options, photos)}


def plain(photos: Path, seed: int, keep: Path | None = None) -> dict[str, Any]:
    """pycolmap at its defaults: a camera of SIMPLE_RADIAL for all photos of one size, SIFT, all
    pairs, the incremental mapper, its largest model."""
    import pycolmap  # late: never beside torch

    pycolmap.logging.minloglevel = 2
    pycolmap.set_random_seed(seed)
    files = find_files(photos).photos
    names = [file.path.name for file in files]
    images = files[0].path.parent
    with TemporaryDirectory(prefix="unseen-benchmark-") as folder:
        clock = Clock()
        database = str(Path(folder) / "database.db")
        _declare(pycolmap, database, images, names)
        extraction = pycolmap.FeatureExtractionOptions()
        matching = pycolmap.FeatureMatchingOptions()
        extraction.num_threads = matching.num_threads = 1
        verification = pycolmap.TwoViewGeometryOptions()
        verification.ransac.random_seed = seed
        cpu = pycolmap.Device.cpu
        pycolmap.extract_features(
            database, str(images), names, extraction_options=extraction, device=cpu
        )
        pycolmap.match_exhaustive(
            database, matching_options=matching, verification_options=verification, device=cpu
        )
        mapping = pycolmap.IncrementalPipelineOptions()
        mapping.num_threads, mapping.random_seed = 1, seed
        mapping.min_model_size = MIN_MODEL  # 10 would refuse every scene of few photos
        models = pycolmap.incremental_mapping(database, str(images), folder, mapping)
        spent = clock.read()
        if not models:
            return {"error": "no model", **spent}
        model = max(models.values(), key=lambda one: one.num_reg_images())
        return _model(pycolmap, model, images, names, keep) | spent


def _declare(pycolmap: Any, database: str, images: Path, names: Sequence[str]) -> None:
    """Write the photos, those of one size with one camera; its focal length from EXIF if any."""
    opened = pycolmap.Database.open(database)
    cameras: dict[tuple[int, int], int] = {}
    for image_id, name in enumerate(names, start=1):
        found = pycolmap.infer_camera_from_image(str(images / name))
        size = (found.width, found.height)
        if size not in cameras:
            cameras[size] = len(cameras) + 1
            focal = found.mean_focal_length() if found.has_prior_focal_length else 1.2 * max(size)
            camera = pycolmap.Camera.create_from_model_name(
                cameras[size], "SIMPLE_RADIAL", focal, *size
            )
            camera.has_prior_focal_length = found.has_prior_focal_length
            opened.write_camera(camera, use_camera_id=True)
            rig = pycolmap.Rig(rig_id=camera.camera_id)
            rig.add_ref_sensor(camera.sensor_id)
            opened.write_rig(rig, use_rig_id=True)
        image = pycolmap.Image(name=name, camera_id=cameras[size], image_id=image_id)
        opened.write_image(image, use_image_id=True)
        frame = pycolmap.Frame(frame_id=image_id, rig_id=cameras[size])
        frame.add_data_id(image.data_id)
        opened.write_frame(frame, use_frame_id=True)
    opened.close()


def _model(
    pycolmap: Any, model: Any, images: Path, names: Sequence[str], keep: Path | None
) -> dict[str, Any]:
    from tasks.sfm.undistort import undistort

    registered = sorted(model.reg_image_ids(), key=lambda one: model.image(one).name)
    kept, poses, pinholes, arrays = [], [], [], []
    for image_id in registered:
        image = model.image(image_id)
        bitmap = pycolmap.Bitmap.read(str(images / image.name), as_rgb=True)
        undistorted, pinhole = undistort(bitmap, model.camera(image.camera_id))
        kept.append(image.name)
        poses.append(np.vstack([image.cam_from_world().matrix(), [0.0, 0.0, 0.0, 1.0]]))
        pinholes.append(pinhole)
        arrays.append(undistorted.to_array() if keep is not None else None)
    intrinsics = np.stack([one.calibration_matrix() for one in pinholes])
    sizes = np.array([(one.width, one.height) for one in pinholes])
    if keep is not None:
        keep_photos(keep, arrays, kept, np.stack(poses), intrinsics)
    return {
        "cameras": cameras_json(kept, np.stack(poses), intrinsics, sizes),
        "sure": [True] * len(kept),
        "confidence": [1.0] * len(kept),
        "left_out": [[name, ""] for name in names if name not in kept],
        "rungs": [],
        "relaxed": False,
        "reprojection_error_px": float(model.compute_mean_reprojection_error()),
    }


def cameras_json(
    names: Sequence[str], poses: np.ndarray, intrinsics: np.ndarray, sizes: np.ndarray
) -> dict[str, Any]:
    return {
        "names": list(names),
        "camera_from_world": poses.tolist(),
        "intrinsics": intrinsics.tolist(),
        "sizes": sizes.tolist(),
    }


def keep_photos(
    folder: Path,
    photos: Iterable[np.ndarray],
    names: Sequence[str],
    poses: np.ndarray,
    intrinsics: np.ndarray,
) -> None:
    """Write undistorted photos and their cameras for :mod:`sfm_check`."""
    folder.mkdir(parents=True)
    for index, pixels in enumerate(photos):
        Image.fromarray(pixels).save(folder / f"{index:04d}.png", compress_level=1)
    cameras = {
        "names": list(names),
        "camera_from_world": poses.tolist(),
        "intrinsics": intrinsics.tolist(),
    }
    (folder / CAMERAS).write_text(json.dumps(cameras))


def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out a request: ``photos``, ``seed``, ``plain``, ``config`` and ``keep``."""
    photos, seed = Path(request["photos"]), int(request["seed"])
    keep = Path(request["keep"]) if request["keep"] else None
    if request["plain"]:
        return plain(photos, seed, keep)
    ingest_config, options = IngestConfig(), SfmConfig()
    if request["config"]:
        from flows.config import read_config

        config = read_config(Path(request["config"]))
        ingest_config, options = config.ingest, config.sfm
    changes = {"seed": seed, "threads": 1, "poses": "estimate"}
    return project(
        photos, ingest_config, overridden(options, changes, where="this benchmark"), keep
    )


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    Path(asked["out"]).write_text(json.dumps(run(asked)))
