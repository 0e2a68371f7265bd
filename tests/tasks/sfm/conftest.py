"""Real photos, where the checkout has them beside it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.cameras import Cameras
from tasks.sfm.reconstruct import SourcePhoto

DATA = Path(__file__).parents[3] / "../shared/data"


def scene_folder(scene: str) -> Path:
    folder = DATA / scene
    if not folder.is_dir():
        pytest.skip(f"the photos of {scene} are not beside this checkout")
    return folder


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
