"""Rendered views scored against photos and depth maps."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.images import from_levels
from tasks.metrics.depth import DepthScore, score_depth
from tasks.metrics.images import psnr_db, ssim
from tasks.runtime.context import Device
from tasks.splat.render import render


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How near a picture is to its photo."""

    psnr_db: float
    ssim: float


def score(
    picture: Float32[np.ndarray, "h w 3"],
    photo: UInt8[np.ndarray, "h w 3"],
    use: Bool[np.ndarray, "h w"] | None = None,
) -> Score:
    """Compare a picture in [0, 1] with a photo, where ``use`` says so."""
    truth = from_levels(photo)
    return Score(psnr_db=psnr_db(picture, truth, use), ssim=ssim(picture, truth, use))


def score_depths(
    gaussians: Gaussians,
    cameras: Cameras,
    reference: Cameras,
    depth_m: Callable[[str], Float32[np.ndarray, "_ _"]],
    names: Collection[str],
    *,
    metres_from_world: float,
    device: Device = "cpu",
) -> Iterator[tuple[str, DepthScore]]:
    """Compare rendered depth with depth maps.

    The splat is seen from the estimated pose through the reference's lens, whose pixels the map
    has: what is compared is depth, not the few pixels by which two calibrations differ.

    Args:
        names: photos with a depth map; those that lack a pose or a reference are passed over.
        metres_from_world: scale of the alignment of the poses.
    """
    pose_of = {name: index for index, name in enumerate(cameras.names)}
    reference_of = {name: index for index, name in enumerate(reference.names)}
    for name in names:
        if name not in pose_of or name not in reference_of:
            continue
        known = depth_m(name)
        lens = reference.select([reference_of[name]]).resized(
            np.array([[known.shape[1], known.shape[0]]], dtype=np.int64)
        )
        camera = Cameras(
            names=(name,),
            camera_from_world=cameras.camera_from_world[[pose_of[name]]],
            intrinsics=lens.intrinsics,
            sizes=lens.sizes,
        )
        depth = render(gaussians.foreground, camera, 0, with_depth=True, device=device).depth
        assert depth is not None
        yield (
            name,
            score_depth(depth.cpu().numpy(), known, reference_from_model_scale=metres_from_world),
        )
