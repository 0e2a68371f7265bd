"""A small diffusion model conditioned on all inputs of a view, and its weights file.

A UNet of diffusers on squares of 2x2 pixels, and a ControlNet conditioned on the features of
:mod:`tasks.refine.photos.features`. The initial image is treated as a slightly noisy picture, as
Difix treats a render (Wu et al., CVPR 2025), and one step removes that noise. With more steps,
noise is added first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from tasks.errors import InputError
from tasks.refine.diffusion.config import SmallModel
from tasks.refine.diffusion.model import Conditions, Model, ready, words
from tasks.refine.diffusion.training_config import SmallShape
from tasks.refine.photos.features import MAPS, Features, features_of, picture_count
from tasks.refine.refiner import ViewBatch
from tasks.refine.training.weights_file import read_weights_file, weights_file
from tasks.runtime.context import Context

FORMAT = "unseen controlnet refiner"
VERSION = 2
"""Version of the networks' inputs and weights; files of others are rejected."""
FACTOR = 2
"""Edge of the squares of pixels that are one position of the UNet."""
NOTHING = 8
"""Width of the text embeddings, which are zeros."""
START_PICTURE = 1
"""Index of the initial image among the features: the refinement by `reproject`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Small:
    """UNet and ControlNet of diffusers."""

    shape: SmallShape
    unet: Any
    controlnet: Any

    @property
    def parts(self) -> Mapping[str, Any]:
        """By name, as in the file."""
        return {"unet": self.unet, "controlnet": self.controlnet}

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        for part, module in self.parts.items():
            for name, value in module.state_dict().items():
                yield f"{part}.{name}", value


def conditioning_channels(shape: SmallShape) -> int:
    pictures = picture_count(shape.features)
    return 3 * pictures + (pictures - 2) + MAPS


def conditioning_of(features: Features) -> Float32[Tensor, "b c h w"]:
    """All features, concatenated along the channels."""
    return torch.cat([features.pictures.flatten(1, 2), features.valid, features.maps], 1)


def to_latents(images: Float32[Tensor, "b 3 h w"]) -> Float32[Tensor, "b c lh lw"]:
    """Images in [0, 1] as inputs of the UNet."""
    return pixel_unshuffle(2 * images - 1, FACTOR)


def from_latents(latents: Float32[Tensor, "b c lh lw"]) -> Float32[Tensor, "b 3 h w"]:
    return pixel_shuffle(latents, FACTOR) / 2 + 0.5


def new_small(shape: SmallShape, seed: int) -> Small:
    """An untrained model; it returns nearly its initial image."""
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    channels = 3 * FACTOR**2
    count = len(shape.widths)
    common: dict[str, Any] = {
        "in_channels": channels,
        "block_out_channels": shape.widths,
        "down_block_types": ("DownBlock2D",) * count,
        "mid_block_type": "UNetMidBlock2D",
        "layers_per_block": shape.layers,
        "cross_attention_dim": NOTHING,
        "attention_head_dim": NOTHING,
        "norm_num_groups": 8,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            out_channels=channels, up_block_types=("UpBlock2D",) * count, **common
        )
        controlnet = ControlNetModel(
            conditioning_channels=conditioning_channels(shape),
            # One halving, as the UNet's squares are two pixels wide.
            conditioning_embedding_out_channels=(shape.widths[0], shape.widths[0]),
            **common,
        )
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    return Small(shape=shape, unet=unet, controlnet=controlnet)


def scheduler_for(shape: SmallShape) -> Any:
    """Stable Diffusion's noise; the network predicts velocities (Salimans and Ho, ICLR 2022)."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )
    scheduler.set_timesteps(shape.steps_of_all)
    return scheduler


def small_checkpoint(small: Small, *, data: str) -> bytes:
    """The content of a file with the model, its weights in half precision.

    Args:
        data: digest of what it was trained on.
    """
    weights = {
        f"{part}.{name}": value.detach().half().cpu().contiguous()
        for part, module in small.parts.items()
        for name, value in module.state_dict().items()
    }
    described = {
        "format": FORMAT,
        "version": VERSION,
        "shape": small.shape.model_dump(mode="json"),
        "data": data,
    }
    return weights_file(weights, described)


def read_small(path: Path, *, digest: str | None = None) -> Small:
    """The model in a file, in single precision on the CPU.

    Args:
        digest: sha256 that the file must have; None for any.

    Raises:
        InputError: the file cannot be read, is not the one of that digest, or holds no such model.
    """
    described, weights = read_weights_file(path, form=FORMAT, version=VERSION, digest=digest)
    try:
        shape = SmallShape.model_validate(described.get("shape"))
        with torch.device("meta"):  # whatever it describes, without the memory for it
            _check_shapes(new_small(shape, seed=0), weights)
        small = new_small(shape, seed=0)
        for part, module in small.parts.items():
            own = {name: weights.pop(f"{part}.{name}").float() for name in module.state_dict()}
            module.load_state_dict(own)
    except (ValidationError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the weights in '{path}' are not those of the model it describes "
            f"({type(error).__name__}: {reason}); name another file"
        ) from error
    if broken := [n for n, value in small.tensors() if not bool(torch.isfinite(value).all())]:
        raise InputError(
            f"{len(broken)} tensors in '{path}' hold values that are not finite (the first: "
            f"'{broken[0]}'), so it cannot refine; name another file"
        )
    return small


def _check_shapes(small: Small, weights: Mapping[str, Tensor]) -> None:
    """
    Raises:
        KeyError: a tensor is missing.
        RuntimeError: one has another shape.
    """
    for name, value in small.tensors():
        if weights[name].shape != value.shape:
            raise RuntimeError(
                f"'{name}' is {list(weights[name].shape)} in place of {list(value.shape)}"
            )


def small_model(
    path: Path,
    config: SmallModel = SmallModel(),
    *,
    digest: str | None = None,
    context: Context = Context(),
) -> Model:
    """The model in a file, loaded; in half precision on CUDA.

    Args:
        config: steps and seed; its file is ignored.
        digest: sha256 that the file must have; None for any.

    Raises:
        InputError: as :func:`read_small`.
    """
    # Late: seconds to import.
    from diffusers.pipelines.controlnet.pipeline_controlnet_img2img import (
        StableDiffusionControlNetImg2ImgPipeline,
    )

    from tasks.refine.diffusion.pixels import PixelAutoencoder

    small = read_small(path, digest=digest)
    pipeline = StableDiffusionControlNetImg2ImgPipeline(
        vae=PixelAutoencoder(FACTOR),
        text_encoder=None,
        tokenizer=None,
        unet=small.unet.eval(),
        controlnet=small.controlnet.eval(),
        scheduler=scheduler_for(small.shape),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _Small(pipeline=ready(pipeline, context.device), shape=small.shape, config=config)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Small:
    pipeline: Any
    shape: SmallShape
    config: SmallModel

    def show(self, views: ViewBatch) -> tuple[Tensor, Conditions]:
        features = features_of(views, self.shape.features)
        return features.pictures[:, START_PICTURE], [conditioning_of(features)]

    def draw(self, start: Tensor, seen: Conditions, numbers: Sequence[int]) -> Tensor:
        nothing = words(self.pipeline, "", len(start))
        steps, of_all = min(self.config.steps, self.shape.steps_of_all), self.shape.steps_of_all
        found = self.pipeline(
            prompt_embeds=nothing,
            negative_prompt_embeds=nothing,
            image=start,
            control_image=seen[0],
            latents=self._noisy(start, numbers, steps).to(self.pipeline.unet.dtype),
            strength=min(1.0, (steps + 0.5) / of_all),
            num_inference_steps=of_all,
            guidance_scale=1.0,
            controlnet_conditioning_scale=1.0,
            output_type="pt",
        )
        return found.images.float()

    def _noisy(self, start: Tensor, numbers: Sequence[int], steps: int) -> Tensor:
        """Input of the first of ``steps`` steps."""
        clean = to_latents(start)
        if steps == 1:
            return clean
        # Noise depends on the tile alone, not on what else is in its batch.
        generators = [torch.Generator().manual_seed(self.config.seed + one) for one in numbers]
        noise = torch.stack([torch.randn(clean.shape[1:], generator=one) for one in generators])
        scheduler = scheduler_for(self.shape)
        return scheduler.add_noise(clean, noise.to(clean.device), scheduler.timesteps[-steps, None])
