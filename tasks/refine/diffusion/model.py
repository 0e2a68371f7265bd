"""The interface of diffusion models with ControlNets: conditioning and drawing."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from tasks.refine.refiner import ViewBatch
from tasks.runtime.context import Device

Conditions = list[Float32[Tensor, "b _ h w"]]
"""Conditioning of each ControlNet."""


@runtime_checkable
class Model(Protocol):
    """A ``StableDiffusionControlNetImg2ImgPipeline`` of diffusers, with its inputs and call."""

    @property
    def pipeline(self) -> Any: ...

    def show(self, views: ViewBatch) -> tuple[Float32[Tensor, "b 3 h w"], Conditions]:
        """Initial images, and the conditioning of each ControlNet."""
        ...

    def draw(
        self, start: Float32[Tensor, "t 3 h w"], seen: Conditions, numbers: Sequence[int]
    ) -> Float32[Tensor, "t 3 h w"]:
        """Refined images in [0, 1], of the tiles with these numbers."""
        ...


def words(pipeline: Any, prompt: str, count: int) -> Float[Tensor, "b n d"]:
    """Text embeddings of a prompt; zeros where the model has no text encoder."""
    device, kind = pipeline.unet.device, pipeline.unet.dtype
    if pipeline.text_encoder is None:
        width = pipeline.unet.config.cross_attention_dim
        return torch.zeros(count, 1, width, dtype=kind, device=device)
    found, _ = pipeline.encode_prompt(prompt, device, count, False)
    return found.to(kind)


def ready(pipeline: Any, device: Device) -> Any:
    """Move to the device, in half precision on CUDA, and disable progress bars."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device, torch.float16) if device == "cuda" else pipeline.to(device)
