"""Views repaired by diffusion, with ControlNets that see the photos warped into them."""

import torch
from torch import Tensor

from tasks.refine.batch import Refinement, Refiner, ViewBatch
from tasks.refine.diffusion.blend import blended
from tasks.refine.diffusion.config import ControlNet
from tasks.refine.diffusion.stable import stable_diffusion
from tasks.refine.diffusion.tiles import tiled, tiling_for
from tasks.site import Device, Progress, no_progress


def controlnet_refiner(
    config: ControlNet, device: Device = "cpu", progress: Progress = no_progress
) -> Refiner:
    """The refiner of a model, read and ready to run; in half precision on CUDA.

    Args:
        progress: is told which models of others are used, and their licences, before they are.

    Raises:
        InputError: a model cannot be read, or is none that can be used so.
    """
    model = stable_diffusion(config.weights, device, progress)
    tiling = tiling_for(config.tiles, model.pipeline.vae_scale_factor, config.batch)

    def refine(views: ViewBatch) -> Refinement:
        views = views.to(torch.device(device))
        start, seen = model.show(views)
        channels = [3, *(one.shape[1] for one in seen)]

        def on_tiles(tiles: Tensor, numbers: list[int]) -> Tensor:
            start, *seen = tiles.split(channels, dim=1)
            return model.draw(start, seen, numbers)

        return blended(views, tiled(on_tiles, torch.cat([start, *seen], 1), tiling))

    return refine
