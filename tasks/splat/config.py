"""Options of a splat's fit and of the split of the photos."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.config import Alternative, Config, SetBy
from tasks.depth.config import DenseConfig


class _Refining(Alternative):
    """Schedule of densification, common to all strategies."""

    start: int = Field(default=300, ge=0, description="First iteration of densification.")
    stop_share: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Share of the iterations after which densification ends.",
    )
    every: int = Field(
        default=100, ge=1, description="Iterations from one densification to the next."
    )
    prune_opacity: float = Field(
        default=0.005, gt=0, lt=1, description="Opacity below which Gaussians are removed."
    )


class _ByGradient(_Refining):
    revised_opacity: bool = Field(
        default=False,
        description="Give the halves of a split Gaussian the opacity that leaves the render "
        "unchanged (Rota Bulò et al. 2024), in place of that of the whole.",
    )


class Default(_ByGradient):
    """Growing and pruning as in gsplat's ``DefaultStrategy`` (Kerbl et al. 2023, sec. 5)."""

    kind: Literal["default"] = "default"
    gradient: float = Field(
        default=4e-4,
        gt=0,
        description="Mean image gradient, in half images, above which a Gaussian is split or "
        "cloned.",
    )


class Absgrad(_ByGradient):
    """``default`` with gradients that do not cancel over a Gaussian's pixels (Ye et al. 2024)."""

    kind: Literal["absgrad"] = "absgrad"
    gradient: float = Field(
        default=8e-4,
        gt=0,
        description="Mean sum of absolute image gradients, in half images, above which a Gaussian "
        "is split or cloned.",
    )


class Mcmc(_Refining):
    """Gaussians as samples of a Markov chain (Kheradmand et al. 2024).

    Each densification moves dead Gaussians to live ones and adds 5 %; noise moves nearly
    transparent ones.
    """

    kind: Literal["mcmc"] = "mcmc"
    start: int = Field(default=100, ge=0, description="First iteration of densification.")
    stop_share: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Share of the iterations after which densification ends.",
    )
    every: int = Field(
        default=25,
        ge=1,
        description="Iterations from one densification to the next; 60 of them, at 5 % each, "
        "multiply the number of Gaussians by 19.",
    )
    prune_opacity: float = Field(
        default=0.005,
        gt=0,
        lt=1,
        description="Opacity up to which Gaussians are dead, and are moved.",
    )
    noise: float = Field(
        default=5e5, ge=0, description="Noise on the means, in their learning rates; 0 = none."
    )
    opacity_weight: float = Field(
        default=0.01, ge=0, description="Addition to 'splat.opacity_weight', so that Gaussians die."
    )
    scale_weight: float = Field(
        default=0.01,
        ge=0,
        description="Addition to 'splat.scale_weight', so that Gaussians shrink.",
    )


Densify = Default | Absgrad | Mcmc


class Points(Alternative):
    """Start from points triangulated from the training photos, without depth maps."""

    kind: Literal["points"] = "points"


class Ply(Alternative):
    """Start from a splat in the frame of the scene's given cameras.

    It may have been fitted to any of the photos, so no photo counts as held out.
    """

    kind: Literal["ply"] = "ply"
    file: Annotated[str, SetBy.INSIDE] = Field(
        default="splat.ply",
        min_length=1,
        description="PLY file in the format of 3D Gaussian Splatting, relative to the scene's "
        "folder.",
    )


Appearance = Literal["none", "affine"]


class SplatConfig(Config):
    """Fit of a splat to the training photos."""

    iterations: int = Field(
        default=2000, ge=1, le=1_000_000, description="Number of steps, of 'batch' photos each."
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
        description="Photos of an iteration, all of one size; learning rates are multiplied by its "
        "root. More suit large GPUs; on a CPU an iteration takes as many times longer.",
    )
    sh_every: int = Field(
        default=400, ge=1, description="Iterations before the next degree is added."
    )
    half_size_share: float = Field(
        default=0.35,
        ge=0,
        le=1,
        description="Share of the iterations, the first, at half the size: coarse shape for less "
        "time.",
    )
    ssim_weight: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Weight of D-SSIM in the photometric loss; the rest is L1.",
    )
    opacity_weight: float = Field(
        default=0.0, ge=0, description="Weight of the mean opacity in the loss."
    )
    scale_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the mean standard deviation in the loss, in extents of the scene.",
    )
    depth_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the difference between rendered depth and depth maps, relative and "
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
        description="Share of a photo's near depth that is kept free of floaters: Gaussians that "
        "no training photo shows, and that are nearer to the nearest camera, are removed at the "
        "end; null = none.",
    )
    background: bool = Field(
        default=True,
        description="Shell of fixed, wide Gaussians far behind the scene, in the photos' colours, "
        "so that directions without photos are not black.",
    )
    appearance: Appearance = Field(
        default="none",
        description="Colour model of each photo: 'affine' fits a map from the splat's colours to "
        "the photo's. For photos of different exposure or white balance; others lose by it.",
    )
    pose_learning_rate: float = Field(
        default=0.0,
        ge=0,
        le=0.1,
        description="Learning rate of corrections of the training photos' poses, radians and "
        "extents of the scene; 0 = fixed poses. 1e-3 suits poses off by pixels; SfM's own lose by "
        "it.",
    )
    init: Annotated[
        DenseConfig | Points | Ply,
        Field(discriminator="kind", description="Initial Gaussians."),
    ] = DenseConfig()
    densify: Annotated[
        Densify, Field(discriminator="kind", description="Strategy of densification.")
    ] = Default()
    memory_gib: Annotated[float, SetBy.OWNER] = Field(
        default=2.0,
        gt=0,
        description="Memory for Gaussians during the fit (with gradients, Adam's moments and the "
        "rasteriser's buffers), GiB; it limits their number.",
    )
    max_gaussians: int | None = Field(
        default=None,
        ge=1,
        description="Largest number of Gaussians; null = as many as 'memory_gib' holds.",
    )
    sparse: bool = Field(
        default=False,
        description="Update only the Gaussians in view of an iteration's photos: less work where a "
        "photo shows a small part of the scene.",
    )
    packed: bool = Field(
        default=False,
        description="On CUDA, keep only the projections of Gaussians in view: less memory where a "
        "photo shows a small part of the scene, more time where it shows most. The CPU always "
        "does.",
    )
    seed: int = Field(
        default=0, ge=0, description="Seed of the order of photos and the initial rotations."
    )


VALIDATION = Field(
    default=None,
    ge=0,
    description="Number of validation photos, kept out of every fit, for choosing between splats; "
    "null = none below 8 training photos, 1 from 8, 2 from 24.",
)


class EveryNth(Alternative):
    """Hold out every n-th photo, in the order of their names; of two photos none."""

    kind: Literal["every_nth"] = "every_nth"
    n: int = Field(
        default=8, ge=2, description="Distance from one held-out photo to the next, photos."
    )
    offset: int = Field(default=0, ge=0, description="Index of the first photo held out.")
    validation: int | None = VALIDATION


class TrainOn(Alternative):
    """Fit to the named photos and hold out all others."""

    kind: Literal["train_on"] = "train_on"
    photos: Annotated[tuple[str, ...], SetBy.FREELY] = Field(
        min_length=2, description="File names of the training photos."
    )
    validation: int | None = VALIDATION
