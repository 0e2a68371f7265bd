"""Options of joint drawing."""

from pydantic import Field

from tasks.config import Config


class JointConfig(Config):
    """Joint denoising of views, with a scene fitted to them between the steps."""

    steps: int = Field(
        default=20, ge=1, le=1000, description="Number of denoising steps of the schedule."
    )
    strength: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Fraction of the steps that are taken. 1 starts from noise alone; less starts "
        "from renders of the initial scene with noise of that step.",
    )
    fit_every: int = Field(
        default=1,
        ge=1,
        description="Number of steps between fits of the scene; the last step is always fitted.",
    )
    fresh_noise: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Noise added in each step, as a fraction of the posterior's; 0 adds none "
        "(DDIM).",
    )
    fit_iterations: int = Field(
        default=40,
        ge=2,
        le=100_000,
        description="Iterations of one fit, alternating between a photo and a view.",
    )
    view_weight: float = Field(
        default=1.0, gt=0, description="Weight of a view's loss in a fit; that of a photo is 1."
    )
    seed: int = Field(
        default=0, ge=0, description="Seed of the noise and of the order of images in a fit."
    )
