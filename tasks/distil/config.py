"""Options of a splat's continuation and of distillation."""

from pydantic import Field

from tasks.config import Config

MEASURED_PHOTOS = 6
"""Training photos up to which gains were measured (docs/results.md); 9 and more gained nothing."""


class ControlConfig(Config):
    """Continued training of a splat, with refined views or without."""

    iterations: int = Field(
        default=1200,
        ge=1,
        le=1_000_000,
        description="Number of steps, of one photo or refined view each.",
    )
    densify: bool = Field(
        default=True, description="Continue the densification of the splat's config."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the order of photos and refined views.")


class DistilConfig(ControlConfig):
    """Continued training of a splat with refined views beside the photos."""

    probability: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Probability of a refined view in place of a photo, in each step.",
    )
    max_training_photos: int = Field(
        default=MEASURED_PHOTOS,
        ge=0,
        description="Largest number of training photos with distillation. Above it, the stage and "
        "its control are skipped: more photos leave less unseen, and nothing was gained.",
    )
    weight: float = Field(
        default=1.0, ge=0, description="Weight of a refined view's loss; a photo's is 1."
    )
    confidence_blend: bool = Field(
        default=False,
        description="Blend each refined view into the splat's render by the trust in each pixel, "
        "with equal weights of all pixels; otherwise the trust is the weight of a pixel.",
    )

    @property
    def control(self) -> ControlConfig:
        """The control's config: the options that have nothing to do with refined views."""
        return ControlConfig(**{name: getattr(self, name) for name in ControlConfig.model_fields})
