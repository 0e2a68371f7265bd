"""What changes a refinement by a diffusion model."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.config import Alternative, Config

Sees = Literal["render", "photo", "depth"]


class TilesConfig(Config):
    """Views larger than a tile are worked on in parts that overlap."""

    longest: int = Field(default=1024, ge=64, le=16_384, description="Most of a tile's edge, px.")
    overlap: int = Field(default=128, ge=0, le=4096, description="Least of two neighbours, px.")

    @model_validator(mode="after")
    def _overlap_is_less_than_half(self) -> "TilesConfig":
        if 2 * self.overlap >= self.longest:
            raise ValueError(
                f"an overlap of {self.overlap} px should be less than half of a tile of "
                f"{self.longest} px"
            )
        return self


class SmallModel(Alternative):
    """A small UNet and its ControlNet, trained from nothing, that see all there is of a view."""

    kind: Literal["small"] = "small"
    file: str | None = Field(
        default=None,
        min_length=1,
        description="Safetensors file, from the scene's folder on; empty for the one that ships.",
    )
    steps: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="That are taken, of those that the model has. One takes the view without "
        "learning for a picture with little noise; for more, as much noise as they find is put on "
        "it.",
    )
    seed: int = Field(default=0, ge=0, description="Of the noise.")


class StableDiffusion(Alternative):
    """Stable Diffusion with ControlNets, from folders or from the hub."""

    kind: Literal["stable_diffusion"] = "stable_diffusion"
    model: str = Field(min_length=1, description="Folder in diffusers' layout, or hub id.")
    controlnets: tuple[str, ...] = Field(
        min_length=1, max_length=8, description="Folder or hub id of each."
    )
    sees: tuple[Sees, ...] = Field(
        default=("photo",),
        description="What each ControlNet is shown; the second that sees a photo is shown the "
        "second best, and so on.",
    )
    prompt: str = "sharp photograph"
    guidance: float = Field(
        default=1.0, ge=1, le=100, description="Of the prompt; 1 spares a second pass."
    )
    steps: int = Field(default=4, ge=1, le=1000, description="That are taken.")
    strength: float = Field(
        default=0.3, gt=0, le=1, description="Noise put on the render, as a share of the schedule."
    )
    seed: int = Field(default=0, ge=0, description="Of the noise.")

    @model_validator(mode="after")
    def _each_controlnet_sees_something(self) -> "StableDiffusion":
        if len(self.sees) != len(self.controlnets):
            raise ValueError(
                f"sees names {len(self.sees)} of render, photo and depth, but there are "
                f"{len(self.controlnets)} controlnets: name one for each"
            )
        return self
