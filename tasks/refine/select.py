"""Construction of the refiner of a config."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.refine.config import (
    ControlNet,
    Difix,
    Learned,
    Mean,
    RefineConfig,
    Reproject,
    Residual,
)
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.refine.diffusion.joint.sample import Scene
from tasks.refine.gate import Gated
from tasks.refine.photos.reproject import reproject
from tasks.refine.refiner import Refinement, Refiner, ViewBatch
from tasks.runtime.context import Context, Device
from tasks.source import Source


def refiner_for(
    config: RefineConfig, *, weights: Source | None = None, context: Context = Context()
) -> Refiner:
    """The refiner of ``config``, ready to run on the context's device.

    Args:
        weights: as :func:`tasks.refine.weights.find_weights` finds them.
        context: its progress shows the licences of third-party models before they are used.

    Raises:
        InputError: the weights are missing, or belong to another refiner.
    """
    if isinstance(config.refiner, Mean):
        return partial(_as_rendered, torch.device(context.device))
    if isinstance(config.refiner, Reproject):
        return partial(_reproject_on, torch.device(context.device), config.refiner)
    learned = _learned(config.refiner, weights, context)
    return _gated(learned, config.refiner, context.device)


def joint_refiners(
    config: RefineConfig,
    views: Iterable[ViewBatch],
    scene: Callable[[JointConfig], Scene],
    *,
    weights: Source | None = None,
    context: Context = Context(),
) -> list[Refiner]:
    """Draw views jointly; a refiner for each of them, in their order.

    Jointly drawn images are blended, weighted and gated like those drawn of single views.

    Args:
        config: with joint drawing.
        views: batches of one view, of any sizes; taken one at a time.
        scene: makes the scene of the views' poses, in their order.
        weights: as in :func:`refiner_for`, and ``context`` too.

    Raises:
        InputError: as :func:`refiner_for`.
        DivergedError: a fit of the scene diverged.
    """
    # Late: takes seconds to import, and only this refiner needs it.
    from tasks.refine.diffusion.blend import blended
    from tasks.refine.diffusion.joint.draw import draw_jointly

    refiner, device = config.refiner, torch.device(context.device)
    assert isinstance(refiner, ControlNet)
    assert refiner.joint is not None

    def refine(drawn: Tensor, views: ViewBatch) -> Refinement:
        return blended(views.to(device), drawn.permute(2, 0, 1)[None])

    images = draw_jointly(
        refiner.weights,
        refiner.joint,
        views,
        scene(refiner.joint),
        weights=weights,
        context=context,
    )
    return [_gated(partial(refine, image), refiner, context.device) for image in images]


def _gated(refiner: Refiner, config: Learned, device: Device) -> Refiner:
    return refiner if config.gate is None else Gated(refiner, config.gate, torch.device(device))


def _reproject_on(device: torch.device, config: Reproject, views: ViewBatch) -> Refinement:
    return reproject(views.to(device), config)


def _as_rendered(device: torch.device, views: ViewBatch) -> Refinement:
    render = views.render.to(device)
    return Refinement(image=render, weight=torch.ones_like(render[..., 0]))


def _learned(
    config: Residual | ControlNet | Difix, weights: Source | None, context: Context
) -> Refiner:
    # Late: takes seconds to import, and only this refiner needs it.
    if isinstance(config, ControlNet):
        from tasks.refine.diffusion.controlnet import controlnet_refiner

        return controlnet_refiner(config, weights=weights, context=context)
    if isinstance(config, Difix):
        from tasks.refine.diffusion.difix import difix_refiner

        return difix_refiner(config, context=context)
    return _residual(config, weights, context)


def _residual(config: Residual, weights: Source | None, context: Context) -> Refiner:
    # Late: takes seconds to import, and only this refiner needs it.
    from tasks.refine.residual.checkpoint import read_checkpoint
    from tasks.refine.residual.refine import refine

    if weights is None:
        raise InputError(
            "the refiner 'residual' has no weights, and refines nothing untrained; pass those of "
            "find_weights, or set refine.refiner.kind to 'reproject'"
        )
    device = torch.device(context.device)
    network = read_checkpoint(Path(weights.folder), digest=weights.digest).to(device)

    def residual(views: ViewBatch) -> Refinement:
        return refine(network, views.to(device), tile_edge=config.tile_edge, context=context)

    return residual
