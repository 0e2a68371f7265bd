"""What changes views that are denoised together."""

from pydantic import Field

from tasks.config import Config


class JointConfig(Config):
    """How views are denoised together, and the scene between them is fitted."""

    steps: int = Field(default=20, ge=1, le=1000, description="From the noise to the views.")
    strength: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the steps that are taken: 1 begins with noise alone, less with what "
        "the scene shows at first, and the noise that is left of it by then.",
    )
    fit_every: int = Field(
        default=1,
        ge=1,
        description="Steps from one fit of the scene to the next; it is fitted after the last.",
    )
    fresh_noise: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="In every step, as a share of what the posterior has; 0 adds none (DDIM).",
    )
    fit_iterations: int = Field(
        default=40, ge=2, le=100_000, description="Of one fit, a photo and a view by turns."
    )
    view_weight: float = Field(
        default=1.0, gt=0, description="Of a view's loss in a fit; a photo's has weight 1."
    )
    seed: int = Field(default=0, ge=0, description="Of the noise, and of the order in a fit.")
