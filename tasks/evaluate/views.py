"""Rendered views scored against photos and depth maps."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from tasks.cameras import Cameras
from tasks.evaluate.depth import DepthScore, score_depth
from tasks.evaluate.images import psnr_db, ssim
from tasks.gaussians import Gaussians
from tasks.images import fitted_sizes, resized
from tasks.site import Device
from tasks.splat.rasterise.protocol import Rendering
from tasks.splat.rasterise.select import rasteriser_for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredView:
    """One photo, what the splat shows from there, and how near that is."""

    name: str
    psnr_db: float
    ssim: float
    photo: UInt8[np.ndarray, "h w 3"]
    rendered: UInt8[np.ndarray, "h w 3"]


def score_views(
    gaussians: Gaussians,
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    *,
    longest_edge: int,
    device: Device = "cpu",
) -> Iterator[ScoredView]:
    """Render every camera and compare with its photo, both reduced to ``longest_edge`` pixels."""
    smaller = cameras.resized(fitted_sizes(cameras.sizes, longest_edge))
    for index, name in enumerate(smaller.names):
        width, height = (int(extent) for extent in smaller.sizes[index])
        truth = resized(photos[index], (width, height))
        seen = render(gaussians, smaller, index, device=device).rgb.clamp(0, 1).cpu().numpy()
        yield ScoredView(
            name=name,
            psnr_db=psnr_db(seen, truth / np.float32(255)),
            ssim=ssim(seen, truth / np.float32(255)),
            photo=truth,
            rendered=np.round(255 * seen).astype(np.uint8),
        )


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
        depth = render(gaussians, camera, 0, with_depth=True, device=device).depth
        assert depth is not None
        yield (
            name,
            score_depth(depth.cpu().numpy(), known, reference_from_model_scale=metres_from_world),
        )


def render(
    gaussians: Gaussians,
    cameras: Cameras,
    index: int,
    *,
    with_depth: bool = False,
    device: Device = "cpu",
) -> Rendering:
    """What camera ``index`` sees of a splat, without gradients."""
    width, height = (int(extent) for extent in cameras.sizes[index])
    with torch.no_grad():
        return rasteriser_for(torch.device(device))(
            gaussians.means.to(device),
            gaussians.quats.to(device),
            gaussians.log_scales.to(device).exp(),
            gaussians.logit_opacities.to(device).sigmoid(),
            gaussians.sh.to(device),
            camera_from_world=cameras.camera_from_world[index],
            intrinsics=cameras.intrinsics[index],
            width=width,
            height=height,
            sh_degree=gaussians.sh_degree,
            with_depth=with_depth,
        )
