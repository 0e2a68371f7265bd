"""The views of a scene drawn together by a diffusion model, and kept to one splat."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.ingest.source import Source
from tasks.refine.diffusion.config import SmallModel, StableDiffusion
from tasks.refine.diffusion.controlnet import model_of
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.refine.diffusion.joint.denoiser import denoiser_of
from tasks.refine.diffusion.joint.sample import Scene, sample_jointly
from tasks.refine.diffusion.joint.schedule import levels_of
from tasks.refine.refiner import ViewBatch
from tasks.runtime.context import Device, Progress, no_progress


def draw_jointly(
    config: SmallModel | StableDiffusion,
    joint: JointConfig,
    views: Iterable[ViewBatch],
    scene: Scene,
    device: Device = "cpu",
    progress: Progress = no_progress,
    *,
    weights: Source | None = None,
    threads: int | None = None,
) -> Sequence[Float32[Tensor, "_ _ 3"]]:
    """What the model draws of each view, in [0, 1] on the device; the fitted scene is not kept.

    Args:
        together: counts in the place of the steps, the strength and the seed of ``config``.
        views: of one each, of any sizes; taken one at a time.
        scene: of the places of the views, in their order.
        progress: is told which models of others are used, and their licences, before they are.
        weights: of the small model, as :func:`tasks.refine.weights.find_weights` found them.
        threads: CPU threads of the model; None for as many as torch takes.

    Raises:
        InputError: a model cannot be read, or is none that can be used so.
        MachineError: a fit of the scene diverged.
    """
    place = torch.device(device)
    model = model_of(config, device, progress, weights=weights)
    told = config if isinstance(config, StableDiffusion) else None
    denoise = denoiser_of(
        model,
        (one.to(place) for one in views),
        prompt=told.prompt if told else "",
        guidance=told.guidance if told else 1.0,
        threads=threads,
    )
    levels = levels_of(model.pipeline.scheduler, joint.steps)
    return sample_jointly(denoise, scene, levels, joint, progress=progress).views
