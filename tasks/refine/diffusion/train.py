"""Training of the small diffusion model, by what the residual network is trained by.

It learns the one step that it is used for: from the repair without learning to the photo, seen
through the blend that keeps what the render shows surely.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from tasks.refine.batch import Refinement, ViewBatch
from tasks.refine.diffusion.blend import blended
from tasks.refine.diffusion.small import (
    FACTOR,
    NOTHING,
    START_PICTURE,
    Small,
    SmallShape,
    conditioning_of,
    new_small,
    scheduler_for,
)
from tasks.refine.diffusion.tiles import Tiling, tiled
from tasks.refine.pairs.pair import Pairs
from tasks.refine.residual.config import TrainConfig
from tasks.refine.residual.features import CONFIDENCE, Features, features_of
from tasks.refine.residual.network import Repaired
from tasks.refine.residual.train import Recipe, Trained, TrainingState, train_network
from tasks.site import Device, Progress, no_progress
from tasks.splat.checkpoints import NO_CHECKPOINTS, Checkpoints


class SmallNetwork(nn.Module):
    """The model's one step, as one network."""

    def __init__(self, small: Small) -> None:
        super().__init__()
        self.shape = small.shape
        self.unet, self.controlnet = small.unet, small.controlnet
        scheduler = scheduler_for(small.shape)
        self.timestep = int(scheduler.timesteps[-1])
        self.signal = float(scheduler.alphas_cumprod[self.timestep])

    @property
    def small(self) -> Small:
        return Small(shape=self.shape, unet=self.unet, controlnet=self.controlnet)

    def drawn(self, start: Tensor, seen: Tensor) -> Tensor:
        """Images of the size of ``start`` [b 3 h w], which is a multiple of ``FACTOR``."""
        noisy = pixel_unshuffle(2 * start - 1, FACTOR)
        nothing = start.new_zeros(len(start), 1, NOTHING)
        down, middle = self.controlnet(noisy, self.timestep, nothing, seen, return_dict=False)
        (velocity,) = self.unet(
            noisy,
            self.timestep,
            nothing,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )
        clean = self.signal**0.5 * noisy - (1 - self.signal) ** 0.5 * velocity
        return pixel_shuffle(clean, FACTOR) / 2 + 0.5

    def forward(self, features: Features) -> Repaired:
        """The blended image; no errors are predicted."""
        drawn = self.drawn(features.pictures[:, START_PICTURE], conditioning_of(features))
        share = (1 - features.maps[:, CONFIDENCE : CONFIDENCE + 1]) / 2
        none = torch.zeros_like(features.maps[:, 0])
        return Repaired(
            image=torch.lerp(features.pictures[:, 0], drawn, share),
            log_error=none,
            render_log_error=none,
        )


def repair_by(network: SmallNetwork, views: ViewBatch) -> Refinement:
    """Whole views, as the refiner repairs them."""
    features = features_of(views, network.shape.features)
    shown = torch.cat([features.pictures[:, START_PICTURE], conditioning_of(features)], 1)
    whole = Tiling(longest=max(shown.shape[-2:]) + 8, overlap=0)

    def on_tiles(tiles: Tensor, numbers: list[int]) -> Tensor:
        return network.drawn(tiles[:, :3], tiles[:, 3:]).clamp(0, 1)

    with torch.inference_mode():
        return blended(views, tiled(on_tiles, shown, whole))


def train_small(
    pairs: Pairs,
    validation: Pairs,
    config: TrainConfig,
    shape: SmallShape = SmallShape(),
    *,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Checkpoints[TrainingState] = NO_CHECKPOINTS,
) -> Trained[SmallNetwork]:
    """See :func:`tasks.refine.residual.train.train_network`.

    Args:
        config: its ``network`` says what the model sees; crops should be multiples of 8 px.
        shape: of the model, but for what it sees.

    Raises:
        InputError: there are no pairs.
        MachineError: the loss stopped being finite.
    """

    def untrained(config: TrainConfig) -> SmallNetwork:
        seeing = shape.model_copy(update={"features": config.network})
        return SmallNetwork(new_small(seeing, config.seed))

    return train_network(
        Recipe(make=untrained, repair=repair_by),
        pairs,
        validation,
        config.model_copy(update={"error_weight": 0.0}),
        device=device,
        progress=progress,
        checkpoints=checkpoints,
    )
