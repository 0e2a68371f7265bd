"""Joint sampling of a scene's views from a diffusion model, consistent with one splat."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.diffusion.config import SmallModel, StableDiffusion
from tasks.refine.diffusion.controlnet import model_of
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.refine.diffusion.joint.denoiser import denoiser_of
from tasks.refine.diffusion.joint.sample import Scene, sample_jointly
from tasks.refine.diffusion.joint.schedule import noise_levels
from tasks.refine.refiner import ViewBatch
from tasks.runtime.context import Context
from tasks.source import Source


def draw_jointly(
    config: SmallModel | StableDiffusion,
    joint: JointConfig,
    views: Iterable[ViewBatch],
    scene: Scene,
    *,
    weights: Source | None = None,
    context: Context = Context(),
) -> Sequence[Float32[Tensor, "_ _ 3"]]:
    """Images that the model draws of all views jointly, in [0, 1] on the device.

    Args:
        joint: replaces the steps, the strength and the seed of ``config``.
        views: batches of one view, of any sizes; taken one at a time.
        scene: of the views' poses, in their order.
        weights: of the small model, as :func:`tasks.refine.weights.find_weights` finds them.
        context: its progress shows third-party models and their licences before they are used.

    Raises:
        InputError: a model cannot be read or is not supported.
        DivergedError: a fit of the scene diverged.
    """
    device = torch.device(context.device)
    model = model_of(config, weights=weights, context=context)
    guided = config if isinstance(config, StableDiffusion) else None
    denoise = denoiser_of(
        model,
        (one.to(device) for one in views),
        prompt=guided.prompt if guided else "",
        guidance=guided.guidance if guided else 1.0,
        context=context,
    )
    levels = noise_levels(model.pipeline.scheduler, joint.steps)
    return sample_jointly(denoise, scene, levels, joint, context=context).views
