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


class ControlNet(Alternative):
    """Diffusion from the render, conditioned on render, warped photos, depth and confidence."""

    kind: Literal["controlnet"] = "controlnet"
    weights: StableDiffusion
    tiles: TilesConfig = TilesConfig()
    batch: int = Field(default=1, ge=1, le=1024, description="Tiles that are worked on at once.")


class Difix(Alternative):
    """NVIDIA's one-step fixer of renders (Wu et al., CVPR 2025), by its own pipeline.

    Its weights and code are not ours; their licence is shown before they are used.
    """

    kind: Literal["difix"] = "difix"
    model: str = Field(
        default="nvidia/difix_ref", min_length=1, description="Hub id, or folder of it."
    )
    pipeline: str = Field(
        default="",
        description="Hub id or folder whose pipeline.py runs the model, where its own does not "
        "name one.",
    )
    trust_remote_code: bool = Field(
        default=False, description="Whether the Python code that comes with the model may be run."
    )
    reference: bool = Field(
        default=True, description="Whether the model is shown the nearest photo beside the render."
    )
    prompt: str = "remove degradation"
    timestep: int = Field(default=199, ge=1, le=999, description="Of the one step.")
    tiles: TilesConfig = TilesConfig()
