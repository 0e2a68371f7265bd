"""Joint denoising of a scene's views by a diffusion model with ControlNets."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float16, Float32
from torch import Tensor
from torch.nn.functional import pad

from tasks.refine.diffusion.model import Model, words
from tasks.refine.refiner import ViewBatch
from tasks.runtime.context import Context
from tasks.runtime.threads import torch_threads

Image = Float32[Tensor, "_ _ 3"]
Latents = Float32[Tensor, "_ _ _"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """Size and conditioning of a view."""

    height: int
    width: int
    """Of the view, pixels."""
    seen: tuple[Float16[Tensor, "1 _ _ _"], ...]
    """Conditioning of each ControlNet; padded where the model does not take the view's size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PipelineDenoiser:
    """A :class:`tasks.refine.diffusion.joint.sample.Denoiser` of given views.

    Views are processed whole and one at a time, so that memory does not grow with their number.
    """

    pipeline: Any
    views: tuple[Shown, ...]
    words: Float[Tensor, "p t d"]
    """Text embeddings of one pass; of two with guidance, the first without the prompt."""
    guidance: float
    multiple: int
    """Factor of the image sizes that the model takes, pixels."""
    threads: int | None

    @torch.no_grad()
    def __call__(self, noisy: Sequence[Latents], timestep: int) -> list[Latents]:
        with torch_threads(self.threads):
            return [
                self._clean(one, self._predicted(one, view, timestep), timestep)
                for one, view in zip(noisy, self.views, strict=True)
            ]

    @torch.no_grad()
    def encode(self, images: Sequence[Image]) -> list[Latents]:
        with torch_threads(self.threads):
            return [self._encoded(image) for image in images]

    @torch.no_grad()
    def decode(self, latents: Sequence[Latents]) -> list[Image]:
        with torch_threads(self.threads):
            return [
                self._decoded(one)[: view.height, : view.width]
                for one, view in zip(latents, self.views, strict=True)
            ]

    def _predicted(self, noisy: Tensor, view: Shown, timestep: int) -> Tensor:
        unet, passes = self.pipeline.unet, len(self.words)
        given = noisy.to(unet.dtype).expand(passes, -1, -1, -1)
        seen = [one.to(given).expand(passes, -1, -1, -1) for one in view.seen]
        several = len(seen) > 1
        down, middle = self.pipeline.controlnet(
            given,
            timestep,
            encoder_hidden_states=self.words,
            controlnet_cond=seen if several else seen[0],
            conditioning_scale=[1.0] * len(seen) if several else 1.0,
            return_dict=False,
        )
        (found,) = unet(
            given,
            timestep,
            encoder_hidden_states=self.words,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )
        # Without a second pass, first and last are the same.
        return torch.lerp(found[0].float(), found[-1].float(), self.guidance)

    def _clean(self, noisy: Tensor, found: Tensor, timestep: int) -> Tensor:
        """The clean views that the network's prediction implies, by its prediction type."""
        scheduler = self.pipeline.scheduler
        signal = float(scheduler.alphas_cumprod[timestep])
        kept, noise = signal**0.5, (1 - signal) ** 0.5
        predicts = scheduler.config.prediction_type
        if predicts == "epsilon":
            return (noisy - noise * found) / kept
        return found if predicts == "sample" else kept * noisy - noise * found

    def _encoded(self, image: Tensor) -> Tensor:
        vae = self.pipeline.vae
        whole = _continued((2 * image - 1).permute(2, 0, 1)[None], self.multiple)
        found = vae.encode(whole.to(self.pipeline.unet.dtype))
        drawn = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents
        return vae.config.scaling_factor * drawn[0].float()

    def _decoded(self, latents: Tensor) -> Tensor:
        vae = self.pipeline.vae
        scaled = latents[None] / vae.config.scaling_factor
        (found,) = vae.decode(scaled.to(self.pipeline.unet.dtype), return_dict=False)
        return (found[0].float().permute(1, 2, 0) / 2 + 0.5).clamp(0, 1)


def denoiser_of(
    model: Model,
    views: Iterable[ViewBatch],
    *,
    prompt: str = "",
    guidance: float = 1.0,
    context: Context = Context(),
) -> PipelineDenoiser:
    """The model as a denoiser of ``views``, all at once and without tiles.

    Their conditioning is kept in main memory in half precision: it is several times as large as
    the views.

    Args:
        views: batches of one view on the device of the model; taken one at a time. Views of a
            size that the model does not take are padded by their border.
        guidance: scale of the prompt; 1 needs no second pass.
        context: its threads run the model on the CPU.
    """
    multiple = math.lcm(8, model.pipeline.vae_scale_factor)
    prompts = (prompt,) if guidance == 1 else ("", prompt)
    return PipelineDenoiser(
        pipeline=model.pipeline,
        views=tuple(_shown(model, one, multiple) for one in views),
        words=torch.cat([words(model.pipeline, one, 1) for one in prompts]),
        guidance=guidance,
        multiple=multiple,
        threads=context.threads,
    )


def _shown(model: Model, views: ViewBatch, multiple: int) -> Shown:
    height, width = views.depth.shape[-2:]
    _, seen = model.show(views)
    kept = (_continued(one, multiple).to("cpu", torch.float16) for one in seen)
    return Shown(height=height, width=width, seen=tuple(kept))


def _continued(images: Tensor, multiple: int) -> Tensor:
    """Pad by the border to a size that is a multiple."""
    height, width = images.shape[-2:]
    return pad(images, (0, -width % multiple, 0, -height % multiple), mode="replicate")
