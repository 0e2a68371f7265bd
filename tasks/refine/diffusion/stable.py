"""Stable Diffusion with third-party ControlNets, from folders or from the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.refine.diffusion.conditioning import pictures
from tasks.refine.diffusion.config import StableDiffusion
from tasks.refine.diffusion.hub import fetched, licence_of, reaching
from tasks.refine.diffusion.model import Conditions, Model, ready, words
from tasks.refine.refiner import ViewBatch
from tasks.refine.third_party import check_trusted, of_stable_diffusion
from tasks.runtime.context import Context


def stable_diffusion(config: StableDiffusion, *, context: Context = Context()) -> Model:
    """Load the models; in half precision on CUDA.

    Args:
        context: its trust must list the models; its progress shows them and their licences before
            they are used.

    Raises:
        InputError: one is not trusted, cannot be read, or is a ControlNet that does not take RGB
            images.
    """
    return _Stable(pipeline=_pipeline(config, context), config=config)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stable:
    pipeline: Any
    config: StableDiffusion

    def show(self, views: ViewBatch) -> tuple[Tensor, Conditions]:
        return views.render.permute(0, 3, 1, 2), pictures(views, self.config.sees)

    def draw(self, start: Tensor, seen: Conditions, numbers: Sequence[int]) -> Tensor:
        config = self.config
        # So many steps in all that config.steps of them lie below the strength.
        steps = round(config.steps / config.strength)
        found = self.pipeline(
            prompt_embeds=words(self.pipeline, config.prompt, len(start)),
            negative_prompt_embeds=words(self.pipeline, "", len(start)),
            image=start,
            control_image=seen if len(seen) > 1 else seen[0],
            strength=min(1.0, (config.steps + 0.5) / steps),
            num_inference_steps=steps,
            guidance_scale=config.guidance,
            controlnet_conditioning_scale=1.0,
            # Noise depends on the tile alone, not on what else is in its batch.
            generator=[torch.Generator().manual_seed(config.seed + number) for number in numbers],
            output_type="pt",
        )
        return found.images.float()


def _pipeline(config: StableDiffusion, context: Context) -> Any:
    # Late: seconds to import.
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.pipelines.controlnet.pipeline_controlnet_img2img import (
        StableDiffusionControlNetImg2ImgPipeline,
    )
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    models = of_stable_diffusion(config)
    check_trusted(models, context.trust)
    for one in models:
        context.progress(0.0, f"{one.address} is used under its own licence: {licence_of(one)}")
    base, *nets = models
    controlnets = []
    for net in nets:
        with reaching(net):
            controlnet = ControlNetModel.from_pretrained(
                fetched(net), use_safetensors=True, local_files_only=True
            )
        channels = controlnet.config.conditioning_channels
        if channels != 3:
            raise InputError(
                f"the ControlNet '{net.address}' takes {channels} channels and a picture has 3, so "
                "it cannot be shown one; name one that takes pictures"
            )
        controlnets.append(controlnet)
    with reaching(base):
        folder = fetched(base)
        parts = StableDiffusionControlNetImg2ImgPipeline.load_config(folder)
        absent = {
            name: None
            for name, part in parts.items()
            if isinstance(part, list | tuple) and part[0] is None
        }
        given = {
            "controlnet": controlnets if len(controlnets) > 1 else controlnets[0],
            "safety_checker": None,
            "requires_safety_checker": False,
        }
        pipeline = StableDiffusionControlNetImg2ImgPipeline.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, **(absent | given)
        )
    # With these, the last step ends at the clean image, and the first of those that are taken
    # starts at its share of the noise.
    pipeline.scheduler = DDIMScheduler.from_config(
        pipeline.scheduler.config, timestep_spacing="trailing"
    )
    return ready(pipeline, context.device)
