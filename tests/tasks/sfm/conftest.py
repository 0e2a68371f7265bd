"""Real photos and their surveyed cameras."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.cameras import CameraModel, Cameras
from tasks.sfm.reconstruct import GivenPose, SourcePhoto
from tests.support.real_scenes import scene_folder


def photos_of(scene: str, limit: int | None = None) -> Iterator[SourcePhoto]:
    """Upright, without what EXIF knows of the focal length."""
    for path in sorted((scene_folder(scene) / "images").iterdir())[:limit]:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        yield SourcePhoto(name=path.name, pixels=pixels, camera="", focal_px=None)


def reference_of(scene: str) -> Cameras:
    entries = json.loads((scene_folder(scene) / "cameras_gt.json").read_text())
    camera_from_world = np.tile(np.eye(4), (len(entries), 1, 1))
    intrinsics = np.tile(np.eye(3), (len(entries), 1, 1))
    for entry, pose, k in zip(entries, camera_from_world, intrinsics, strict=True):
        pose[:3, :3], pose[:3, 3] = entry["R"], entry["t"]
        k[[0, 1, 0, 1], [0, 1, 2, 2]] = entry["fx"], entry["fy"], entry["cx"], entry["cy"]
    return Cameras(
        names=tuple(Path(entry["image"]).name for entry in entries),
        camera_from_world=camera_from_world,
        intrinsics=intrinsics,
        sizes=np.array([[entry["width"], entry["height"]] for entry in entries], dtype=np.int64),
    )


def rigid(camera_from_world: np.ndarray) -> np.ndarray:
    """The nearest rotation: the files give six digits."""
    pose = camera_from_world.copy()
    u, _, vt = np.linalg.svd(pose[:3, :3])
    pose[:3, :3] = u @ vt
    return pose


def pinhole(intrinsics: np.ndarray) -> CameraModel:
    (fx, _, cx), (_, fy, cy), _ = intrinsics.tolist()
    return CameraModel(model="PINHOLE", params=(fx, fy, cx, cy))


def posed_photos_of(scene: str, limit: int | None = None) -> Iterator[SourcePhoto]:
    """Photos with their surveyed cameras."""
    reference = reference_of(scene)
    for photo in photos_of(scene, limit):
        index = reference.names.index(photo.name)
        given = GivenPose(
            camera_from_world=rigid(reference.camera_from_world[index]),
            camera_model=pinhole(reference.intrinsics[index]),
        )
        yield replace(photo, given=given)


def projected(cameras: Cameras, photo: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Pixels of ``points[i]`` in photo ``photo[i]``, [n 2]."""
    local = np.einsum(
        "kij,kj->ki", cameras.camera_from_world[photo], np.c_[points, np.ones(len(points))]
    )[:, :3]
    image = np.einsum("kij,kj->ki", cameras.intrinsics[photo], local)
    return image[:, :2] / image[:, 2:]
