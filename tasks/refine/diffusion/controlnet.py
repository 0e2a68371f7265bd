"""Refinement by diffusion, with ControlNets conditioned on the photos warped into the view."""

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
    """The refiner of a model, loaded; in half precision on CUDA.

    It draws each view on its own and ignores ``config.joint``; see
    :func:`tasks.refine.diffusion.joint.draw.draw_jointly`.

    Args:
        weights: of the small model, as :func:`tasks.refine.weights.find_weights` finds them.
        context: its progress shows third-party models and their licences before they are used.

    Raises:
        InputError: a model cannot be read or is not supported.
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
    """The model, loaded; arguments and errors as in :func:`controlnet_refiner`."""
    if isinstance(config, StableDiffusion):
        return stable_diffusion(config, context=context)
    if weights is None:
        raise InputError(
            "the refiner 'controlnet' has no weights for its small model, which refines nothing "
            "untrained; pass those of find_weights, or set refine.refiner.kind to 'reproject'"
        )
    return small_model(Path(weights.folder), config, digest=weights.digest, context=context)
