"""What changes a splat."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.config import Alternative, Config
from tasks.depth.config import DenseConfig


class _Refining(Alternative):
    """When Gaussians come and go, whatever decides which."""

    start: int = Field(default=300, ge=0, description="First iteration that may grow.")
    stop_share: float = Field(
        default=0.6, ge=0, le=1, description="Share of the iterations after which nothing grows."
    )
    every: int = Field(default=100, ge=1, description="Iterations between two growings.")
    prune_opacity: float = Field(
        default=0.005, gt=0, lt=1, description="Gaussians below this opacity are removed."
    )


class _ByGradient(_Refining):
    revised_opacity: bool = Field(
        default=False,
        description="Halves of a split Gaussian get the opacity that leaves the picture as it was "
        "(Rota Bulò et al. 2024), not that of the whole.",
    )


class Default(_ByGradient):
    """Growing and pruning, as gsplat's ``DefaultStrategy`` does it (Kerbl et al. 2023, sec. 5)."""

    kind: Literal["default"] = "default"
    gradient: float = Field(
        default=4e-4,
        gt=0,
        description="Mean image gradient, in half images, above which a Gaussian multiplies.",
    )


class Absgrad(_ByGradient):
    """As ``default``, by gradients that do not cancel over a Gaussian's pixels (Ye et al. 2024)."""

    kind: Literal["absgrad"] = "absgrad"
    gradient: float = Field(
        default=8e-4,
        gt=0,
        description="Mean sum of absolute image gradients, in half images, above which a Gaussian "
        "multiplies.",
    )


class Mcmc(_Refining):
    """Gaussians as samples of a Markov chain (Kheradmand et al. 2024): each growing moves the dead
    to where opacity is and adds 5 %, and noise moves what is hardly seen."""

    kind: Literal["mcmc"] = "mcmc"
    start: int = Field(default=100, ge=0, description="First iteration that may grow.")
    stop_share: float = Field(
        default=0.8, ge=0, le=1, description="Share of the iterations after which nothing grows."
    )
    every: int = Field(
        default=25,
        ge=1,
        description="Iterations between two growings; at 5 % each, 60 of them make 19 of one.",
    )
    prune_opacity: float = Field(
        default=0.005, gt=0, lt=1, description="Gaussians up to this opacity are dead, and move."
    )
    noise: float = Field(
        default=5e5, ge=0, description="Of the means, in their learning rates; 0 for none."
    )
    opacity_weight: float = Field(
        default=0.01, ge=0, description="Added to 'splat.opacity_weight', so that Gaussians die."
    )
    scale_weight: float = Field(
        default=0.01, ge=0, description="Added to 'splat.scale_weight', so that Gaussians shrink."
    )


Densify = Default | Absgrad | Mcmc


class Points(Alternative):
    """Start from the points that the training photos triangulate, and no others."""

    kind: Literal["points"] = "points"


class Ply(Alternative):
    """Start from a splat in the frame of the scene's given cameras.

    It may have been fitted to any of the photos, so none of them counts as held out.
    """

    kind: Literal["ply"] = "ply"
    file: str = Field(
        default="splat.ply",
        min_length=1,
        description="PLY file as 3D Gaussian Splatting writes it, from the scene's folder on.",
    )


Appearance = Literal["none", "affine"]


class SplatConfig(Config):
    """How a splat is fitted to the training photos."""

    iterations: int = Field(
        default=2000, ge=1, le=1_000_000, description="Steps, of 'batch' photos each."
    )
    max_size: int = Field(
        default=640, ge=16, le=16384, description="Longest edge of the photos fitted to, px."
    )
    sh_degree: Literal[0, 1, 2, 3] = Field(
        default=2, description="Degree of the spherical harmonics of the colour."
    )
    batch: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Photos that an iteration fits to, of one size; learning rates grow by the "
        "root of it. More suit large GPUs; on a CPU an iteration takes as many times longer.",
    )
    sh_every: int = Field(default=400, ge=1, description="Iterations before the next degree joins.")
    half_size_share: float = Field(
        default=0.35,
        ge=0,
        le=1,
        description="Share of the iterations at half the size, where shapes settle at less cost.",
    )
    ssim_weight: float = Field(
        default=0.2, ge=0, le=1, description="Weight of D-SSIM; L1 has the rest."
    )
    opacity_weight: float = Field(
        default=0.0, ge=0, description="Weight of the mean opacity, which is pulled down."
    )
    scale_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the mean standard deviation, in extents of the scene, which is "
        "pulled down.",
    )
    depth_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the difference between rendered and swept depth, relative and "
        "inverse, where 'init.kind' is 'dense'.",
    )
    max_relative_scale: float | None = Field(
        default=0.25,
        gt=0,
        description="Largest standard deviation of a Gaussian, in distances to the nearest camera; "
        "null = any.",
    )
    clearance: float | None = Field(
        default=0.8,
        gt=0,
        description="Share of the depth at which a photo's points begin: a Gaussian that no "
        "training photo shows, and that is nearer than that to the camera of the nearest, hangs "
        "there as fog and is dropped at the end; null = none is.",
    )
    background: bool = Field(
        default=True,
        description="A sphere of fixed, wide Gaussians far behind everything, in the photos' "
        "colours, so that what no photo shows is not black.",
    )
    appearance: Appearance = Field(
        default="none",
        description="Whether each photo has colours of its own: 'affine' maps those of the splat "
        "to those of the photo. For photos of different exposure or white balance; others lose.",
    )
    pose_learning_rate: float = Field(
        default=0.0,
        ge=0,
        le=0.1,
        description="Of corrections of the training photos' poses, radians and extents of the "
        "scene; 0 = poses stay. 1e-3 is for poses that are off by pixels; SfM's own lose by it.",
    )
    init: Annotated[
        DenseConfig | Points | Ply,
        Field(discriminator="kind", description="What the fit starts from."),
    ] = DenseConfig()
    densify: Annotated[
        Densify, Field(discriminator="kind", description="How Gaussians come and go.")
    ] = Default()
    memory_gib: float = Field(
        default=2.0,
        gt=0,
        description="Memory for Gaussians while they are fitted (with gradients, Adam's moments "
        "and what the rasteriser needs of each), GiB: no more of them grow than fit.",
    )
    max_gaussians: int | None = Field(
        default=None, ge=1, description="Most Gaussians; null = as many as 'memory_gib' holds."
    )
    sparse: bool = Field(
        default=False,
        description="An iteration moves only the Gaussians that its photos show: less work where a "
        "photo shows a small part of the scene.",
    )
    packed: bool = Field(
        default=False,
        description="On CUDA, keep projections only of the Gaussians that a photo shows: less "
        "memory where it shows a small part of the scene, more time where it shows most. The CPU "
        "always does.",
    )
    seed: int = Field(
        default=0, ge=0, description="Of the order of photos and the first rotations."
    )


GUARD = Field(
    default=None,
    ge=0,
    description="Photos kept out of fitting, to choose between splats by; null = none below 8 "
    "training photos, 1 from 8, 2 from 24.",
)


class EveryNth(Alternative):
    """Hold out every n-th photo, in the order of their names."""

    kind: Literal["every_nth"] = "every_nth"
    n: int = Field(default=8, ge=2, description="One photo of so many is held out.")
    offset: int = Field(default=0, ge=0, description="Index of the first photo held out.")
    validation: int | None = GUARD


class TrainOn(Alternative):
    """Fit to the named photos and hold out all others."""

    kind: Literal["train_on"] = "train_on"
    photos: tuple[str, ...] = Field(min_length=2, description="File names of the training photos.")
    validation: int | None = GUARD
