"""Views repaired by diffusion, with ControlNets that see the photos warped into them."""

from pathlib import Path

import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.refine.config import ControlNet
from tasks.refine.diffusion.blend import blended
from tasks.refine.diffusion.config import SmallModel, StableDiffusion
from tasks.refine.diffusion.model import Model
from tasks.refine.diffusion.small import small_model
from tasks.refine.diffusion.stable import stable_diffusion
from tasks.refine.diffusion.tiles import tiled, tiling_for
from tasks.refine.refiner import Refinement, Refiner, ViewBatch
from tasks.runtime.context import Context
from tasks.runtime.threads import torch_threads
from tasks.source import Source


def controlnet_refiner(
    config: ControlNet, *, weights: Source | None = None, context: Context = Context()
) -> Refiner:
    """The refiner of a model, read and ready to run; in half precision on CUDA.

    It draws each view for itself, whatever ``config.together`` says; see
    :func:`tasks.refine.diffusion.joint.draw.draw_together`.

    Args:
        weights: of the small model, as :func:`tasks.refine.weights.find_weights` finds them.
        context: its progress shows third-party models and their licences before they are used.

    Raises:
        InputError: a model cannot be read, or is none that can be used so.
    """
    model = model_of(config.weights, weights=weights, context=context)
    tiling = tiling_for(config.tiles, model.pipeline.vae_scale_factor, config.batch)

    def refine(views: ViewBatch) -> Refinement:
        views = views.to(torch.device(context.device))
        start, seen = model.show(views)
        channels = [3, *(one.shape[1] for one in seen)]

        def on_tiles(tiles: Tensor, numbers: list[int]) -> Tensor:
            start, *seen = torch.split(tiles, channels, dim=1)
            return model.draw(start, seen, numbers)

        with torch_threads(context.threads):
            drawn = tiled(on_tiles, torch.cat([start, *seen], 1), tiling)
        return blended(views, drawn)

    return refine


def model_of(
    config: SmallModel | StableDiffusion,
    *,
    weights: Source | None = None,
    context: Context = Context(),
) -> Model:
    """The model, read and ready to draw; the arguments and errors of :func:`controlnet_refiner`."""
    if isinstance(config, StableDiffusion):
        return stable_diffusion(config, context=context)
    if weights is None:
        raise InputError(
            "the small model of the refiner 'controlnet' was asked for without its weights, and "
            "untrained it repairs nothing; find them by find_weights, or set refine.refiner.kind "
            "to 'reproject'"
        )
    return small_model(Path(weights.folder), config, digest=weights.digest, context=context)
