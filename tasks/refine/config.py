"""What changes a refinement."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.config import Alternative, Config
from tasks.refine.diffusion.config import SmallModel, StableDiffusion, TilesConfig
from tasks.refine.diffusion.joint.config import JointConfig


class Reproject(Alternative):
    """The photos, warped to where they agree, blended into the render as far as they are right."""

    kind: Literal["reproject"] = "reproject"
    colour_scale: float = Field(
        default=0.5,
        gt=0,
        description="Disagreement of the photos, of images in [0, 1], at which 1 / e of their "
        "colour is taken.",
    )
    detail_scale: float = Field(
        default=0.05,
        gt=0,
        description="The same of their detail, which a wrong depth spoils first.",
    )
    gap_scale: float = Field(
        default=0.11,
        gt=0,
        description="Distance from the splat's surface, as a share of the depth, at which 1 / e of "
        "their detail is taken.",
    )
    colour_error: float = Field(
        default=0.0125,
        gt=0,
        description="Error of the splat in the photos, of images in [0, 1], at which half of their "
        "colour is taken.",
    )
    detail_error: float = Field(
        default=0.04,
        gt=0,
        description="The same at which photos that agree lend all of their detail.",
    )
    detail_radius: int = Field(
        default=16,
        ge=0,
        le=100,
        description="Colour is the mean over the square so far around, px.",
    )


class FeaturesConfig(Config):
    """What a network sees of a view."""

    photos: int = Field(
        default=3, ge=1, le=8, description="Swept photos that the network sees; others are left."
    )
    reproject: Reproject = Reproject()


class GateConfig(Config):
    """How far a repair is taken, by the share of a view's difference from the photos that it ends.

    By default as it was best for both refiners that ship, on pairs of procedural scenes that they
    had not seen: against taking all repairs in full it gains 0.01 dB, and makes 12 % of the views
    worse for 18 %.
    """

    least: float = Field(
        default=0.0, ge=0, lt=1, description="Up to this share the view is left as rendered."
    )
    full: float = Field(
        default=0.3, ge=0, le=1, description="From this share on the repair is taken in full."
    )

    @model_validator(mode="after")
    def _full_is_not_below_least(self) -> "GateConfig":
        if self.full < self.least:
            raise ValueError(
                f"full ({self.full:g}) should be at least as large as least ({self.least:g}): a "
                "repair is taken the further the more it does"
            )
        return self


class Learned(Alternative):
    """What all refiners that learnt have in common."""

    gate: GateConfig | None = Field(
        default=GateConfig(), description="How far repairs are taken; empty for all in full."
    )


class Residual(Learned):
    """A small network that blends render, photos and `reproject`, and adds what they lack."""

    kind: Literal["residual"] = "residual"
    weights: str | None = Field(
        default=None,
        min_length=1,
        description="Safetensors file, from the scene's folder on; empty for the one that ships.",
    )
    tile_edge: int | None = Field(
        default=None,
        ge=64,
        description="Views are repaired in squares of so many px, for less memory and the same "
        "result; empty for whole views.",
    )


class ControlNet(Learned):
    """Diffusion from the render, conditioned on render, warped photos, depth and confidence.

    'joint: {}' in a config file draws all novel views of a scene together.
    """

    kind: Literal["controlnet"] = "controlnet"
    weights: Annotated[SmallModel | StableDiffusion, Field(discriminator="kind")] = SmallModel()
    tiles: TilesConfig = TilesConfig()
    batch: int = Field(default=1, ge=1, le=1024, description="Tiles that are worked on at once.")
    joint: JointConfig | None = Field(
        default=None,
        description="Draw all novel views of a scene together, kept to one splat at each step: its "
        "steps, strength and seed count then, not those of the weights, and views are not cut into "
        "tiles. Held-out views are drawn each for itself all the same. Empty draws every view for "
        "itself.",
    )


class Difix(Learned):
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


class RefineConfig(Config):
    """How novel views are repaired."""

    refiner: Annotated[Reproject | Residual | ControlNet | Difix, Field(discriminator="kind")] = (
        Residual()
    )

    @property
    def joint(self) -> JointConfig | None:
        """How the novel views are drawn together; None where each is repaired for itself."""
        return self.refiner.joint if isinstance(self.refiner, ControlNet) else None
