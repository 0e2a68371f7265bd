"""A diffusion model with ControlNets as it denoises some views together."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from tasks.errors import InputError
from tasks.refine.batch import ViewBatch
from tasks.refine.diffusion.model import Model, Seen, words


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PipelineDenoiser:
    """A :class:`tasks.refine.sync.sample.Denoiser` of certain views; see :func:`denoiser_of`."""

    pipeline: Any
    seen: Seen
    words: Float[Tensor, "n t d"]

    @torch.no_grad()
    def __call__(
        self, noisy: Float32[Tensor, "n c lh lw"], timestep: int
    ) -> Float32[Tensor, "n c lh lw"]:
        kind = self.pipeline.unet.dtype
        several = len(self.seen) > 1
        seen = [one.to(kind) for one in self.seen]
        down, middle = self.pipeline.controlnet(
            noisy.to(kind),
            timestep,
            encoder_hidden_states=self.words,
            controlnet_cond=seen if several else seen[0],
            conditioning_scale=[1.0] * len(seen) if several else 1.0,
            return_dict=False,
        )
        (found,) = self.pipeline.unet(
            noisy.to(kind),
            timestep,
            encoder_hidden_states=self.words,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )
        return self._clean(noisy, found.float(), timestep)

    @torch.no_grad()
    def encode(self, images: Float32[Tensor, "n h w 3"]) -> Float32[Tensor, "n c lh lw"]:
        vae = self.pipeline.vae
        found = vae.encode((2 * images - 1).permute(0, 3, 1, 2).to(self.pipeline.unet.dtype))
        drawn = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents
        return vae.config.scaling_factor * drawn.float()

    @torch.no_grad()
    def decode(self, latents: Float32[Tensor, "n c lh lw"]) -> Float32[Tensor, "n h w 3"]:
        vae = self.pipeline.vae
        scaled = latents / vae.config.scaling_factor
        (found,) = vae.decode(scaled.to(self.pipeline.unet.dtype), return_dict=False)
        return (found.float().permute(0, 2, 3, 1) / 2 + 0.5).clamp(0, 1)

    def _clean(self, noisy: Tensor, found: Tensor, timestep: int) -> Tensor:
        """What a network that was trained to predict something says of the clean views."""
        scheduler = self.pipeline.scheduler
        signal = float(scheduler.alphas_cumprod[timestep])
        kept, noise = signal**0.5, (1 - signal) ** 0.5
        predicts = scheduler.config.prediction_type
        if predicts == "epsilon":
            return (noisy - noise * found) / kept
        return found if predicts == "sample" else kept * noisy - noise * found


def denoiser_of(model: Model, views: ViewBatch, prompt: str = "") -> PipelineDenoiser:
    """The model as a denoiser of ``views``, all at once and without tiles.

    Args:
        views: on the device of the model.

    Raises:
        InputError: the model cannot take images of their size.
    """
    height, width = views.depth.shape[-2:]
    pixels = model.pipeline.vae_scale_factor
    if height % pixels or width % pixels:
        raise InputError(
            f"views of {width}x{height} px are not whole numbers of the {pixels} px that a latent "
            "spans, so they cannot be denoised together; render them at such a size"
        )
    _, seen = model.show(views)
    return PipelineDenoiser(
        pipeline=model.pipeline, seen=seen, words=words(model.pipeline, prompt, len(views.depth))
    )
