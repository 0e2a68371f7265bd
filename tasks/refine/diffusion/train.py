"""Training of the small diffusion model.

Some crops train the single step of the refiner: from the reprojected view to the photo, through the
blend that keeps confident pixels of the render. The others are photos with the noise of any
diffusion step, and train all steps, which joint sampling takes.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from tasks.refine.diffusion.blend import blended
from tasks.refine.diffusion.small import (
    NOTHING,
    START_PICTURE,
    Small,
    conditioning_of,
    from_latents,
    new_small,
    scheduler_for,
    small_checkpoint,
    to_latents,
)
from tasks.refine.diffusion.tiles import Tiling, tiled
from tasks.refine.diffusion.training_config import TrainControlNet
from tasks.refine.photos.features import CONFIDENCE, features_of
from tasks.refine.refiner import Refinement, ViewBatch
from tasks.refine.training.crops import Batch
from tasks.refine.training.loop import Recipe
from tasks.refine.training.loss import image_loss


class SmallNetwork(nn.Module):
    """The model as one network that predicts clean latents at any noise level."""

    def __init__(self, small: Small) -> None:
        super().__init__()
        self.shape = small.shape
        self.unet, self.controlnet = small.unet, small.controlnet
        scheduler = scheduler_for(small.shape)
        self.last_timestep = int(scheduler.timesteps[-1])
        self.signals: Tensor
        """Cumulative products of the alphas, by timestep."""
        self.register_buffer("signals", scheduler.alphas_cumprod, persistent=False)

    @property
    def small(self) -> Small:
        return Small(shape=self.shape, unet=self.unet, controlnet=self.controlnet)

    def forward(
        self,
        noisy: Float32[Tensor, "b c lh lw"],
        seen: Float32[Tensor, "b m h w"],
        timesteps: Int64[Tensor, " b"],
    ) -> Float32[Tensor, "b c lh lw"]:
        """The expected clean latents of noisy ones."""
        nothing = noisy.new_zeros(len(noisy), 1, NOTHING)
        down, middle = self.controlnet(noisy, timesteps, nothing, seen, return_dict=False)
        (velocity,) = self.unet(
            noisy,
            timesteps,
            nothing,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )
        kept, noise = self.shares(timesteps)
        return kept * noisy - noise * velocity

    def shares(
        self, timesteps: Int64[Tensor, " b"]
    ) -> tuple[Float32[Tensor, "b 1 1 1"], Float32[Tensor, "b 1 1 1"]]:
        """Factors of the clean latents and of unit noise in noisy latents."""
        signal = self.signals[timesteps][:, None, None, None]
        return signal.sqrt(), (1 - signal).sqrt()

    def refined(
        self, start: Float32[Tensor, "b 3 h w"], seen: Float32[Tensor, "b m h w"]
    ) -> Float32[Tensor, "b 3 h w"]:
        """The refiner's single step."""
        timesteps = torch.full((len(start),), self.last_timestep, device=start.device)
        return from_latents(self(to_latents(start), seen, timesteps))


def denoising_loss(
    network: SmallNetwork, batch: Batch, step: int, config: TrainControlNet
) -> Float32[Tensor, ""]:
    """Loss of crops to refine and of noisy photos; choice and noise depend on the step alone."""
    random = np.random.default_rng([config.seed, 2, step])
    features, truth = batch.features, batch.truth
    device, count = truth.target.device, len(truth.target)
    clean = to_latents(truth.target)
    drawn = random.integers(len(network.signals), size=count)
    noise = torch.from_numpy(random.standard_normal(clean.shape, np.float32)).to(device)
    renders = torch.from_numpy(random.random(count) < config.repair_share).to(device)
    timesteps = torch.from_numpy(drawn).to(device).masked_fill(renders, network.last_timestep)
    is_render = renders[:, None, None, None]
    kept, share_of_noise = network.shares(timesteps)
    noised = kept * clean + share_of_noise * noise
    noisy = torch.where(is_render, to_latents(features.pictures[:, START_PICTURE]), noised)
    found = from_latents(network(noisy, conditioning_of(features), timesteps))
    # A step among many must predict the whole image.
    uncertain = (1 - features.maps[:, CONFIDENCE : CONFIDENCE + 1]) / 2
    share = torch.where(is_render, uncertain, 1.0)
    image = torch.lerp(features.pictures[:, 0], found, share)
    # Errors are relative to those before the step: for a noisy photo, those of zero velocity.
    # Relative to those of a crop to refine, strong noise would dominate the loss.
    off = (from_latents(kept * noised) - truth.target).square().mean((1, 2, 3))
    before = torch.where(renders, truth.before, off)
    return image_loss(image, replace(truth, before=before), detail_weight=config.detail_weight)


def refine_views(network: SmallNetwork, views: ViewBatch) -> Refinement:
    """Whole views, as the refiner makes them."""
    features = features_of(views, network.shape.features)
    shown = torch.cat([features.pictures[:, START_PICTURE], conditioning_of(features)], 1)
    whole = Tiling(longest=max(shown.shape[-2:]) + 8, overlap=0)

    def on_tiles(tiles: Tensor, numbers: list[int]) -> Tensor:
        return network.refined(tiles[:, :3], tiles[:, 3:]).clamp(0, 1)

    with torch.inference_mode():
        return blended(views, tiled(on_tiles, shown, whole))


def small_recipe(config: TrainControlNet) -> Recipe[SmallNetwork]:
    """Recipe of :func:`tasks.refine.training.loop.train_network` for the model.

    Args:
        config: crops should be multiples of 8 px.
    """

    def untrained() -> SmallNetwork:
        return SmallNetwork(new_small(config.shape, config.seed))

    def loss(network: SmallNetwork, batch: Batch, step: int) -> Tensor:
        return denoising_loss(network, batch, step, config)

    return Recipe(config=config, make=untrained, loss=loss, refine=refine_views)


def trained_checkpoint(network: SmallNetwork, data: str) -> bytes:
    """See :func:`tasks.refine.diffusion.small.small_checkpoint`."""
    return small_checkpoint(network.small, data=data)
