"""Refinement by NVIDIA's Difix or a similar model, through the pipeline that comes with it.

Source: Wu et al., Difix3D+: Improving 3D Reconstructions with Single-Step Diffusion Models, CVPR
2025. Neither its weights nor its code are part of this project.
"""

from typing import Any

import torch
from torch import Tensor

from tasks.refine.config import Difix
from tasks.refine.diffusion.blend import blended
from tasks.refine.diffusion.hub import CODE, fetched, licence_of, reaching
from tasks.refine.diffusion.model import ready
from tasks.refine.diffusion.tiles import tiled, tiling_for
from tasks.refine.refiner import Refinement, Refiner, ViewBatch
from tasks.refine.third_party import check_trusted, third_parties
from tasks.runtime.context import Context
from tasks.runtime.threads import torch_threads


def difix_refiner(config: Difix, *, context: Context = Context()) -> Refiner:
    """The refiner of the model, loaded; in half precision on CUDA.

    Args:
        context: its trust must list the model and its pipeline as code, since either may hold some;
            its progress shows the model and its licence before it is used.

    Raises:
        InputError: its code is not trusted, or the model cannot be read.
    """
    check_trusted(third_parties(config), context.trust)
    pipeline = _pipeline(config, context)
    tiling = tiling_for(config.tiles, pipeline.vae_scale_factor)

    def on_tiles(tiles: Tensor, numbers: list[int]) -> Tensor:
        render, photo = torch.split(tiles, 3, dim=1)
        found = pipeline(
            config.prompt,
            image=render,
            num_inference_steps=1,
            timesteps=[config.timestep],
            guidance_scale=0.0,
            output_type="pt",
            **({"ref_image": photo} if config.reference else {}),
        )
        return found.images.float()

    def refine(views: ViewBatch) -> Refinement:
        views = views.to(torch.device(context.device))
        shown = torch.cat([views.render, views.nearest], -1).permute(0, 3, 1, 2)
        with torch.no_grad(), torch_threads(context.threads):
            return blended(views, tiled(on_tiles, shown, tiling))

    return refine


def _pipeline(config: Difix, context: Context) -> Any:
    # Late: seconds to import.
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    model, *pipelines = third_parties(config)
    licence = licence_of(model)
    context.progress(0.0, f"{model.address} is used under its own licence: {licence}")
    code = None
    for one in pipelines:
        with reaching(one):
            code = fetched(one, CODE)
    with reaching(model):
        pipeline = DiffusionPipeline.from_pretrained(
            fetched(model),
            custom_pipeline=None if code is None else str(code),
            trust_remote_code=True,  # checked by difix_refiner
            use_safetensors=True,
            local_files_only=True,
        )
    return ready(pipeline, context.device)
