"""Which refiner a config asks for."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.ingest.source import Source
from tasks.refine.config import ControlNet, Difix, Learned, RefineConfig, Reproject, Residual
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.refine.diffusion.joint.sample import Scene
from tasks.refine.gate import Gated
from tasks.refine.photos.reproject import reproject
from tasks.refine.refiner import Refinement, Refiner, ViewBatch
from tasks.runtime.context import Device, Progress, no_progress


def refiner_for(
    config: RefineConfig,
    device: Device = "cpu",
    *,
    weights: Source | None = None,
    threads: int | None = None,
    progress: Progress = no_progress,
) -> Refiner:
    """The refiner of ``config``, ready to run on ``device``.

    Args:
        weights: what :func:`tasks.refine.weights.find_weights` found for it.
        threads: CPU threads of its network; None for as many as torch takes.
        progress: is told the licences of models of others before they are used.

    Raises:
        InputError: the weights are none, or are not the refiner's.
    """
    place = torch.device(device)
    if isinstance(config.refiner, Reproject):
        return partial(_reproject_on, place, config.refiner)
    learned = _learned(config.refiner, device, weights, threads, progress)
    return _gated(learned, config.refiner, place)


def joint_refiners(
    config: RefineConfig,
    views: Iterable[ViewBatch],
    scene: Callable[[JointConfig], Scene],
    device: Device = "cpu",
    *,
    weights: Source | None = None,
    threads: int | None = None,
    progress: Progress = no_progress,
) -> list[Refiner]:
    """Draw views together; for each of them, in their order, what repairs that view alone.

    What was drawn is blended, trusted and judged as what is drawn of one view.

    Args:
        config: with ``together``.
        views: of one each, of any sizes; taken one at a time.
        scene: of the places of the views, in their order, and how it is fitted.
        weights: as :func:`refiner_for` takes them, and the rest.

    Raises:
        InputError: as :func:`refiner_for`.
        MachineError: a fit of the scene diverged.
    """
    # Late: seconds to import, for those who ask for it.
    from tasks.refine.diffusion.blend import blended
    from tasks.refine.diffusion.joint.draw import draw_jointly

    refiner, place = config.refiner, torch.device(device)
    assert isinstance(refiner, ControlNet)
    assert refiner.joint is not None

    def refine(drawn: Tensor, views: ViewBatch) -> Refinement:
        return blended(views.to(place), drawn.permute(2, 0, 1)[None])

    images = draw_jointly(
        refiner.weights,
        refiner.joint,
        views,
        scene(refiner.joint),
        device,
        progress,
        weights=weights,
        threads=threads,
    )
    return [_gated(partial(refine, image), refiner, place) for image in images]


def _gated(refiner: Refiner, config: Learned, device: torch.device) -> Refiner:
    return refiner if config.gate is None else Gated(refiner, config.gate, device)


def _reproject_on(device: torch.device, config: Reproject, views: ViewBatch) -> Refinement:
    return reproject(views.to(device), config)


def _learned(
    config: Residual | ControlNet | Difix,
    device: Device,
    weights: Source | None,
    threads: int | None,
    progress: Progress,
) -> Refiner:
    # Late: seconds to import, for those who ask for it.
    if isinstance(config, ControlNet):
        from tasks.refine.diffusion.controlnet import controlnet_refiner

        return controlnet_refiner(config, device, progress, weights=weights, threads=threads)
    if isinstance(config, Difix):
        from tasks.refine.diffusion.difix import difix_refiner

        return difix_refiner(config, device, progress, threads=threads)
    return _residual(config, torch.device(device), weights, threads)


def _residual(
    config: Residual, device: torch.device, weights: Source | None, threads: int | None
) -> Refiner:
    # Late: seconds to import, for those who ask for it.
    from tasks.refine.residual.checkpoint import read_checkpoint
    from tasks.refine.residual.refine import refine

    if weights is None:
        raise InputError(
            "the refiner 'residual' was asked for without weights, and untrained it repairs "
            "nothing; find them by find_weights, or set refine.refiner.kind to 'reproject'"
        )
    network = read_checkpoint(Path(weights.folder), digest=weights.digest).to(device)

    def residual(views: ViewBatch) -> Refinement:
        return refine(network, views.to(device), tile_edge=config.tile_edge, threads=threads)

    return residual
