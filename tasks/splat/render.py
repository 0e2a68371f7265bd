"""Looking at a splat."""

import torch

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.runtime.context import Device
from tasks.splat.rasterise.protocol import Rendering
from tasks.splat.rasterise.select import rasteriser_for


def render(
    gaussians: Gaussians,
    cameras: Cameras,
    index: int,
    *,
    with_depth: bool = False,
    device: Device = "cpu",
) -> Rendering:
    """What camera ``index`` sees of a splat, without gradients."""
    width, height = cameras.size(index)
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
