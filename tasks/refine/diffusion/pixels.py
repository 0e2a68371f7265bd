"""An identity autoencoder: pixels of a square become the channels of one position.

Importing diffusers takes seconds, so this module is imported late.
"""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle


class PixelAutoencoder(ModelMixin, ConfigMixin):
    """Replaces the variational autoencoder of a pipeline; exact in both directions.

    Args:
        factor: edge of the squares, px; a power of 2.
    """

    @register_to_config
    def __init__(
        self, factor: int = 2, scaling_factor: float = 1.0, latent_channels: int = 12
    ) -> None:
        super().__init__()
        # Pipelines read from it how many pixels a latent spans.
        self.register_to_config(block_out_channels=(latent_channels,) * factor.bit_length())
        self.register_buffer("place", torch.zeros(1), persistent=False)  # carries device and type

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> AutoencoderTinyOutput:
        return AutoencoderTinyOutput(latents=pixel_unshuffle(images, self.config.factor))

    def decode(
        self,
        latents: Float[Tensor, "b c lh lw"],
        return_dict: bool = False,
        generator: object = None,
    ) -> tuple[Float[Tensor, "b 3 h w"]]:
        return (pixel_shuffle(latents, self.config.factor),)
