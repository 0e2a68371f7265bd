"""Options of refinement by a diffusion model."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.config import Alternative, Config, SetBy
from tasks.runtime.trust import address_of

Sees = Literal["render", "photo", "depth"]
Name = Annotated[str, Field(min_length=1)]


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
    file: Annotated[str | None, SetBy.INSIDE] = Field(
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
    model: Annotated[str, SetBy.LISTED] = Field(
        min_length=1, description="Hub id, or a folder in diffusers' layout from / on."
    )
    revision: Annotated[str | None, SetBy.LISTED] = Field(
        default=None, description="Commit of the model on the hub, 40 hexadecimal digits."
    )
    controlnets: Annotated[tuple[Name, ...], SetBy.LISTED] = Field(
        min_length=1, max_length=8, description="Hub id or folder of each ControlNet."
    )
    controlnet_revisions: Annotated[tuple[str | None, ...], SetBy.LISTED] = Field(
        default=(),
        description="Commit of each ControlNet on the hub, empty for a folder; may be left out "
        "where all are folders.",
    )
    sees: tuple[Sees, ...] = Field(
        default=("photo",),
        description="Conditioning image of each ControlNet. The first with 'photo' is given the "
        "best photo, the second the second best, and so on.",
    )
    prompt: Annotated[str, SetBy.FREELY] = "sharp photograph"
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

    @property
    def pinned_controlnets(self) -> tuple[tuple[str, str | None], ...]:
        """Name and revision of each ControlNet."""
        revisions = self.controlnet_revisions or (None,) * len(self.controlnets)
        return tuple(zip(self.controlnets, revisions, strict=True))

    @model_validator(mode="after")
    def _each_model_is_pinned(self) -> "StableDiffusion":
        if self.controlnet_revisions and len(self.controlnet_revisions) != len(self.controlnets):
            raise ValueError(
                f"controlnet_revisions holds {len(self.controlnet_revisions)} commits for "
                f"{len(self.controlnets)} controlnets; give one for each, empty for a folder"
            )
        for name, revision in ((self.model, self.revision), *self.pinned_controlnets):
            address_of(name, revision)
        return self

    @model_validator(mode="after")
    def _each_controlnet_sees_something(self) -> "StableDiffusion":
        if len(self.sees) != len(self.controlnets):
            raise ValueError(
                f"sees names {len(self.sees)} conditioning images for "
                f"{len(self.controlnets)} controlnets; name render, photo or depth for each"
            )
        return self
