"""Options of the refine stage."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.config import Alternative, Config, SetBy
from tasks.refine.diffusion.config import SmallModel, StableDiffusion, TilesConfig
from tasks.refine.diffusion.joint.config import JointConfig
from tasks.runtime.trust import address_of


class Reproject(Alternative):
    """Blend the photos, warped by the swept depth, into the render where they are reliable."""

    kind: Literal["reproject"] = "reproject"
    colour_scale: float = Field(
        default=0.5,
        gt=0,
        description="Difference of the photos (images in [0, 1]) at which the weight of their "
        "colour is 1 / e.",
    )
    detail_scale: float = Field(
        default=0.05,
        gt=0,
        description="Difference of the photos at which the weight of their detail is 1 / e; "
        "smaller, since a wrong depth misaligns detail first.",
    )
    gap_scale: float = Field(
        default=0.11,
        gt=0,
        description="Relative distance from the splat's surface at which the weight of the "
        "photos' detail is 1 / e.",
    )
    colour_error: float = Field(
        default=0.0125,
        gt=0,
        description="Error of the splat in the photos (images in [0, 1]) at which the weight of "
        "their colour is 1 / 2.",
    )
    detail_error: float = Field(
        default=0.04,
        gt=0,
        description="Error of the splat in the photos at which photos that agree give all detail.",
    )
    detail_radius: int = Field(
        default=16,
        ge=0,
        le=100,
        description="Radius of the square window whose mean is the colour; the rest is detail, px.",
    )


class Mean(Alternative):
    """No refiner: the mean render of the splat and its ensemble, every pixel in full.

    It shows what an ensemble is worth by itself, as a novel view and as a target of distillation.
    """

    kind: Literal["mean"] = "mean"


class FeaturesConfig(Config):
    """Inputs of a network."""

    photos: int = Field(
        default=3,
        ge=1,
        le=8,
        description="Number of swept photos that the network is given; further ones are ignored.",
    )
    reproject: Reproject = Reproject()


class GateConfig(Config):
    """Blend weight of a refined view.

    It rises with the fraction of the render's disagreement with the photos that the refinement
    removes. The defaults were best for both bundled refiners on pairs of procedural scenes that
    neither was trained on: compared with weight 1 throughout they gain 0.01 dB, and 12 % of the
    views in place of 18 % become worse.
    """

    least: float = Field(
        default=0.0, ge=0, lt=1, description="Fraction up to which the view is left as rendered."
    )
    full: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Fraction from which the refined view is taken in full.",
    )

    @model_validator(mode="after")
    def _full_is_not_below_least(self) -> "GateConfig":
        if self.full < self.least:
            raise ValueError(
                f"full ({self.full:g}) is less than least ({self.least:g}), and the blend weight "
                "rises from 0 at least to 1 at full; raise full or lower least"
            )
        return self


class Learned(Alternative):
    """Options that all trained refiners share."""

    gate: GateConfig | None = Field(
        default=GateConfig(),
        description="Blend weights of the refined views; empty takes all in full.",
    )


class Residual(Learned):
    """A small network that blends render, photos and `reproject`, and adds a residual."""

    kind: Literal["residual"] = "residual"
    weights: Annotated[str | None, SetBy.INSIDE] = Field(
        default=None,
        min_length=1,
        description="Safetensors file, relative to the scene's folder; empty for the bundled one.",
    )
    tile_edge: int | None = Field(
        default=None,
        ge=64,
        description="Edge of the square tiles that views are refined in, px: less memory, the "
        "same result; empty for whole views.",
    )


class ControlNet(Learned):
    """Diffusion from the render, conditioned on render, warped photos, depth and confidence.

    ``joint: {}`` in a config file draws all novel views of a scene jointly.
    """

    kind: Literal["controlnet"] = "controlnet"
    weights: Annotated[SmallModel | StableDiffusion, Field(discriminator="kind")] = SmallModel()
    tiles: TilesConfig = TilesConfig()
    batch: int = Field(default=1, ge=1, le=1024, description="Number of tiles in a batch.")
    joint: JointConfig | None = Field(
        default=None,
        description="Joint drawing of all novel views of a scene, tied to one splat at each step. "
        "Its steps, strength and seed replace those of the weights, and views are not tiled. "
        "Held-out views are drawn one by one in any case. Empty draws every view on its own.",
    )


class Difix(Learned):
    """NVIDIA's one-step refiner of renders (Wu et al., CVPR 2025), with its own pipeline.

    Third-party weights and code, used where the machine's owner lists both in
    `UNSEEN_TRUSTED_CODE`; their licence is shown before.
    """

    kind: Literal["difix"] = "difix"
    model: Annotated[str, SetBy.LISTED] = Field(
        default="nvidia/difix_ref",
        min_length=1,
        description="Hub id of the model, or its folder from / on.",
    )
    revision: Annotated[str | None, SetBy.LISTED] = Field(
        default=None, description="Commit of the model on the hub, 40 hexadecimal digits."
    )
    pipeline: Annotated[str | None, SetBy.LISTED] = Field(
        default=None,
        min_length=1,
        description="Hub id or folder whose pipeline.py runs the model, where the model itself "
        "does not name one.",
    )
    pipeline_revision: Annotated[str | None, SetBy.LISTED] = Field(
        default=None, description="Commit of the pipeline on the hub."
    )
    reference: bool = Field(
        default=True, description="Condition the model on the nearest photo beside the render."
    )
    prompt: Annotated[str, SetBy.FREELY] = "remove degradation"
    timestep: int = Field(default=199, ge=1, le=999, description="Timestep of the single step.")
    tiles: TilesConfig = TilesConfig()

    @model_validator(mode="after")
    def _each_model_is_pinned(self) -> "Difix":
        address_of(self.model, self.revision)
        if self.pipeline is not None:
            address_of(self.pipeline, self.pipeline_revision)
        elif self.pipeline_revision is not None:
            raise ValueError("pipeline_revision is of no pipeline; name one or leave it out")
        return self


class RefineConfig(Config):
    """Refinement of novel views."""

    refiner: Annotated[
        Reproject | Residual | ControlNet | Difix | Mean, Field(discriminator="kind")
    ] = Residual()

    @property
    def joint(self) -> JointConfig | None:
        """Joint drawing of the novel views; None where each is refined on its own."""
        return self.refiner.joint if isinstance(self.refiner, ControlNet) else None
