"""What all diffusion models with ControlNets have in common: what they see, how they draw."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from tasks.refine.refiner import ViewBatch
from tasks.runtime.context import Device

Conditions = list[Float32[Tensor, "b _ h w"]]
"""What each ControlNet is shown."""


@runtime_checkable
class Model(Protocol):
    """A ``StableDiffusionControlNetImg2ImgPipeline`` of diffusers, and how it is used."""

    @property
    def pipeline(self) -> Any: ...

    def show(self, views: ViewBatch) -> tuple[Float32[Tensor, "b 3 h w"], Conditions]:
        """What drawing starts from, and what is shown."""
        ...

    def draw(
        self, start: Float32[Tensor, "t 3 h w"], seen: Conditions, numbers: Sequence[int]
    ) -> Float32[Tensor, "t 3 h w"]:
        """Repaired images in [0, 1], of tiles with these numbers."""
        ...


def words(pipeline: Any, prompt: str, count: int) -> Float[Tensor, "b n d"]:
    """A prompt as the model reads it; zeros where it has no text encoder."""
    device, kind = pipeline.unet.device, pipeline.unet.dtype
    if pipeline.text_encoder is None:
        width = pipeline.unet.config.cross_attention_dim
        return torch.zeros(count, 1, width, dtype=kind, device=device)
    found, _ = pipeline.encode_prompt(prompt, device, count, False)
    return found.to(kind)


def ready(pipeline: Any, device: Device) -> Any:
    """On the device, in half precision on CUDA; it draws no bars."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device, torch.float16) if device == "cuda" else pipeline.to(device)
