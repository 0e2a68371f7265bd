"""Settings of a splat's training, whatever it is fitted to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from tasks.cameras import Cameras
from tasks.splat.config import Appearance, Densify, Mcmc, SplatConfig
from tasks.splat.densify.budget import most_gaussians

LEARNING_RATES = {
    "means": 1.6e-4,  # times the scene's extent, and falling to a hundredth
    "scales": 5e-3,
    "quats": 1e-3,
    "opacities": 5e-2,
    "sh0": 2.5e-3,
    "shN": 2.5e-3 / 20,
}
"""Adam's, as in the original implementation (Kerbl et al. 2023) and gsplat's trainer."""
LAST_RATE = 0.01
"""Falling learning rates at the last iteration, as a share of the first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainSettings:
    """Loss, learning rates and densification of a training."""

    iterations: int
    extent: float
    """Radius of the scene, world units."""
    densify: Densify | None
    """Strategy of densification; None keeps the number of Gaussians."""
    most_gaussians: int
    """Limit of densification, the background included."""
    ssim_weight: float
    opacity_weight: float
    """Weight of the mean opacity."""
    scale_weight: float
    """Weight of the mean standard deviation, in extents."""
    depth_weight: float = 0.0
    """Weight of the depth loss, for views with a depth target."""
    max_relative_scale: float | None = None
    """Largest standard deviation, in distances to the nearest camera; None for any."""
    centres: Float64[np.ndarray, "c 3"]
    """Camera centres of the photos, world units."""
    appearance: Appearance = "none"
    """Colour map of each photo."""
    pose_learning_rate: float = 0.0
    """Learning rate of each photo's pose correction, radians and extents; 0 keeps the poses."""
    lr_scale: float = 1.0
    """Factor of the learning rates of the Gaussians."""
    sparse: bool = False
    """Whether an iteration updates only the Gaussians in view."""
    packed: bool = False
    """See :class:`tasks.splat.rasterise.protocol.Rasteriser`."""
    seed: int
    """Seed of the densification."""

    @property
    def decay(self) -> float:
        """Factor of the falling learning rates from one iteration to the next."""
        return LAST_RATE ** (1 / self.iterations)

    @property
    def opacity_pull(self) -> float:
        """Weight of the mean opacity in the loss, with the share that MCMC adds."""
        return self.opacity_weight + (
            self.densify.opacity_weight if isinstance(self.densify, Mcmc) else 0.0
        )

    @property
    def scale_pull(self) -> float:
        """Weight of the mean scale in the loss, with the share that MCMC adds."""
        return self.scale_weight + (
            self.densify.scale_weight if isinstance(self.densify, Mcmc) else 0.0
        )


def settings_for(
    config: SplatConfig, cameras: Cameras, *, iterations: int, densify: Densify | None, seed: int
) -> TrainSettings:
    """Settings of a training on photos with a splat's loss; poses and colours stay as they are.

    Args:
        cameras: of the photos.
    """
    return TrainSettings(
        iterations=iterations,
        extent=scene_extent(cameras),
        densify=densify,
        most_gaussians=most_gaussians(config),
        ssim_weight=config.ssim_weight,
        opacity_weight=config.opacity_weight,
        scale_weight=config.scale_weight,
        max_relative_scale=config.max_relative_scale,
        centres=cameras.centres,
        sparse=config.sparse,
        packed=config.packed,
        seed=seed,
    )


def scene_extent(cameras: Cameras) -> float:
    """Radius of the camera centres about their mean, plus a tenth: the scale of steps in space."""
    centres = cameras.centres
    return float(np.linalg.norm(centres - centres.mean(0), axis=1).max() * 1.1)
