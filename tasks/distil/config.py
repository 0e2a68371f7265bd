"""What changes how a splat is fitted on, and how refined views are taken into it."""

from pydantic import Field

from tasks.config import Config


class ControlConfig(Config):
    """How a splat's optimisation goes on, with refined views or without."""

    iterations: int = Field(
        default=1200, ge=1, le=1_000_000, description="Steps, a photo or a refined view each."
    )
    densify: bool = Field(
        default=True, description="Gaussians go on multiplying, as the splat's config says."
    )
    seed: int = Field(default=0, ge=0, description="Of the order of photos and refined views.")


class DistilConfig(ControlConfig):
    """How a splat's optimisation goes on with refined views beside the photos."""

    probability: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Of a step to take a refined view, not a photo, where photos are few.",
    )
    max_training_photos: int = Field(
        default=6,
        ge=1,
        description="So many photos at most are few; beside twice as many, refined views are taken "
        "half as often, and so on: the more photos there are, the less is left that none shows.",
    )
    weight: float = Field(
        default=1.0, ge=0, description="Of a refined view's loss; a photo's has weight 1."
    )
    confidence_blend: bool = Field(
        default=False,
        description="Blend each refined view into what the splat shows there, by the trust in each "
        "pixel, and let all pixels count alike; otherwise the trust weighs the pixels.",
    )

    def probability_beside(self, photos: int) -> float:
        """Of a step to take a refined view where so many photos are fitted to."""
        return self.probability * min(1.0, self.max_training_photos / photos)

    @property
    def control(self) -> ControlConfig:
        """What the control goes on by: it is the same whatever refined views are worth."""
        return ControlConfig(**{name: getattr(self, name) for name in ControlConfig.model_fields})
