"""Rendering a splat without gradients."""

import torch

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.runtime.context import Device
from tasks.splat.rasterise.protocol import (
    PinholeCameras,
    Rendering,
    RenderOptions,
    SplatTensors,
)
from tasks.splat.rasterise.select import rasteriser_for


def render(
    gaussians: Gaussians,
    cameras: Cameras,
    index: int,
    *,
    with_depth: bool = False,
    device: Device = "cpu",
) -> Rendering:
    """Render a splat with camera ``index``, without gradients."""
    width, height = cameras.size(index)
    with torch.no_grad():
        return rasteriser_for(torch.device(device))(
            SplatTensors(
                means=gaussians.means.to(device),
                quats=gaussians.quats.to(device),
                scales=gaussians.log_scales.to(device).exp(),
                opacities=gaussians.logit_opacities.to(device).sigmoid(),
                sh=gaussians.sh.to(device),
            ),
            PinholeCameras(
                camera_from_world=cameras.camera_from_world[index],
                intrinsics=cameras.intrinsics[index],
                width=width,
                height=height,
            ),
            RenderOptions(sh_degree=gaussians.sh_degree, with_depth=with_depth),
        )
