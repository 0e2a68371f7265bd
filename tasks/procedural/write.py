"""A procedural scene as a folder of photos, exact cameras and depth maps."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt16
from PIL import Image

from tasks.cameras import Cameras
from tasks.errors import InputError
from tasks.procedural.build import ProceduralScene
from tasks.procedural.photo_effects import PhotoEffects, exposed
from tasks.procedural.render import prepare, render

VERSION = 1
"""Raised by hand when the renders change, so that folders of an older version are rewritten."""

SAMPLES = 2
STAMP = "procedural.json"


def stamp_of(scene_name: str) -> dict[str, object]:
    """Content of the stamp file of a finished folder."""
    return {"scene": scene_name, "version": VERSION}


def is_written(folder: Path, stamp: Mapping[str, object]) -> bool:
    """Whether a folder holds a finished scene with this stamp.

    Raises:
        InputError: the folder holds files but no stamp.
    """
    if (folder / STAMP).is_file():
        return bool(json.loads((folder / STAMP).read_text()) == stamp)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder} holds {len(list(folder.iterdir()))} entries but no {STAMP}, so it is not a "
            f"rendered scene and will not be overwritten; move it away or choose another folder"
        )
    return False


def write_scene(
    scene: ProceduralScene,
    folder: Path,
    progress: Callable[[int, int], None],
    *,
    strata: int = 8,
    effects: Sequence[PhotoEffects] | None = None,
    stamp: Mapping[str, object] | None = None,
) -> None:
    """Render every photo of a scene, unless the folder already holds this version of it.

    Writes ``images/*.jpg``, ``cameras_gt.json`` (OpenCV axes, ``x_camera = R x_world + t``, metres)
    and ``depth/*.png`` (16 bits, millimetres along the optical axis, 0 = sky). The folder is
    renamed into place when complete, so a killed run leaves nothing that passes for a scene. Photos
    carry no focal length: structure from motion has to estimate it.

    Args:
        folder: created if missing; replaced if it holds another version.
        progress: called with the number of photos done and the total, first with 0 done.
        strata: square root of the rays per texel of indirect light.
        effects: one per photo; default: none.
        stamp: identifies this version; default: :func:`stamp_of` the scene's name.

    Raises:
        InputError: the folder holds files but no stamp.
    """
    total = len(scene.cameras)
    stamp = stamp_of(scene.name) if stamp is None else stamp
    progress(0, total)
    if is_written(folder, stamp):
        progress(total, total)
        return

    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "images").mkdir(parents=True)
    (partial / "depth").mkdir()
    prepared = prepare(scene, strata=strata)
    for i, name in enumerate(scene.cameras.names):
        rgb, depth_m = render(prepared, scene.cameras, i, samples=SAMPLES)
        photo = partial / "images" / name
        if effects is None:
            Image.fromarray(rgb).save(photo, quality=95, subsampling=0)
        else:
            Image.fromarray(exposed(rgb, effects[i])).save(photo, quality=effects[i].jpeg_quality)
        Image.fromarray(_millimetres(depth_m)).save(
            (partial / "depth" / name).with_suffix(".png"), compress_level=1
        )
        progress(i + 1, total)
    (partial / "cameras_gt.json").write_text(json.dumps(_camera_records(scene.cameras), indent=1))
    (partial / STAMP).write_text(json.dumps(stamp))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _millimetres(depth_m: Float32[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Depth in millimetres; 0 for the sky, and beyond the 16-bit range of 65.5 m."""
    millimetres = np.rint(depth_m * 1000.0)
    return np.where(millimetres <= 65535.0, millimetres, 0.0).astype(np.uint16)


def _camera_records(cameras: Cameras) -> list[dict[str, object]]:
    return [
        {
            "image": name,
            "width": int(size[0]),
            "height": int(size[1]),
            "fx": float(k[0, 0]),
            "fy": float(k[1, 1]),
            "cx": float(k[0, 2]),
            "cy": float(k[1, 2]),
            "R": pose[:3, :3].tolist(),
            "t": pose[:3, 3].tolist(),
        }
        for name, size, k, pose in zip(
            cameras.names,
            cameras.sizes,
            cameras.intrinsics,
            cameras.camera_from_world,
            strict=True,
        )
    ]
