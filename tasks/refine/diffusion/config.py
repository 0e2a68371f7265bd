"""Options of refinement by a diffusion model."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.config import Alternative, Config

Sees = Literal["render", "photo", "depth"]


class TilesConfig(Config):
    """Overlapping tiles for views larger than one tile."""

    longest: int = Field(default=1024, ge=64, le=16_384, description="Maximum edge of a tile, px.")
    overlap: int = Field(
        default=128, ge=0, le=4096, description="Minimum overlap of two neighbouring tiles, px."
    )

    @model_validator(mode="after")
    def _overlap_is_less_than_half(self) -> "TilesConfig":
        if 2 * self.overlap >= self.longest:
            raise ValueError(
                f"the overlap of {self.overlap} px is not less than half of a tile of "
                f"{self.longest} px; lower overlap or raise longest"
            )
        return self


class SmallModel(Alternative):
    """A small UNet and its ControlNet, trained from scratch, given all inputs of a view."""

    kind: Literal["small"] = "small"
    file: str | None = Field(
        default=None,
        min_length=1,
        description="Safetensors file, relative to the scene's folder; empty for the bundled one.",
    )
    steps: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Number of denoising steps taken, out of the model's. One step treats the "
        "render itself as a slightly noisy picture; for more steps, noise of their first noise "
        "level is added to it.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the noise.")


class StableDiffusion(Alternative):
    """Stable Diffusion with ControlNets, from folders or from the hub."""

    kind: Literal["stable_diffusion"] = "stable_diffusion"
    model: str = Field(min_length=1, description="Folder in diffusers' layout, or hub id.")
    controlnets: tuple[str, ...] = Field(
        min_length=1, max_length=8, description="Folder or hub id of each ControlNet."
    )
    sees: tuple[Sees, ...] = Field(
        default=("photo",),
        description="Conditioning image of each ControlNet. The first with 'photo' is given the "
        "best photo, the second the second best, and so on.",
    )
    prompt: str = "sharp photograph"
    guidance: float = Field(
        default=1.0,
        ge=1,
        le=100,
        description="Guidance scale of the prompt; 1 needs no second pass.",
    )
    steps: int = Field(default=4, ge=1, le=1000, description="Number of denoising steps taken.")
    strength: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="Noise added to the render, as a fraction of the schedule.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the noise.")

    @model_validator(mode="after")
    def _each_controlnet_sees_something(self) -> "StableDiffusion":
        if len(self.sees) != len(self.controlnets):
            raise ValueError(
                f"sees names {len(self.sees)} conditioning images for "
                f"{len(self.controlnets)} controlnets; name render, photo or depth for each"
            )
        return self
