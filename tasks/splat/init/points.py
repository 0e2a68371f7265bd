"""Gaussians from points."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from scipy.spatial import KDTree

from tasks.errors import InputError
from tasks.gaussians import Gaussians

SH_0 = 0.28209479177387814
"""The constant spherical harmonic, 1 / (2 sqrt(pi))."""
FIRST_OPACITY = 0.1
MIN_POINTS = 10


def gaussians_from_points(
    points: Float[np.ndarray, "n 3"],
    colours: Float[np.ndarray, "n 3"],
    *,
    sh_degree: int,
    seed: int,
) -> Gaussians:
    """Isotropic Gaussians with the RMS distance to three nearest neighbours as standard deviation.

    Args:
        points: world units; those far outside the bulk are dropped.
        colours: RGB in [0, 1].

    Raises:
        InputError: too few points to span a scene.

    Source: Kerbl et al., SIGGRAPH 2023, section 5.1.
    """
    near = _not_far_outside(points) if len(points) else np.zeros(0, dtype=bool)
    points, colours = points[near], colours[near]
    if len(points) < MIN_POINTS:
        raise InputError(
            f"only {len(points)} points could be triangulated from the training photos, a splat "
            f"needs at least {MIN_POINTS} to start from; add photos that overlap more"
        )
    neighbours = KDTree(points).query(points, 4)[0][:, 1:]
    widths = np.sqrt((neighbours**2).mean(1)) + 1e-7
    return gaussians_of(
        points, colours, widths, opacity=FIRST_OPACITY, sh_degree=sh_degree, seed=seed
    )


def gaussians_of(
    points: Float[np.ndarray, "n 3"],
    colours: Float[np.ndarray, "n 3"],
    widths: Float64[np.ndarray, " n"] | Float32[np.ndarray, " n"],
    *,
    opacity: float,
    sh_degree: int,
    seed: int,
) -> Gaussians:
    """Isotropic Gaussians whose colour does not depend on the direction.

    Args:
        points: world units.
        colours: RGB in [0, 1].
        widths: standard deviations, world units.
        opacity: of each, 0..1.
        seed: of the rotations, which matter once a Gaussian is no longer round.
    """
    count = len(points)
    sh = torch.zeros(count, (sh_degree + 1) ** 2, 3)
    sh[:, 0] = torch.tensor((colours - 0.5) / SH_0, dtype=torch.float32)
    return Gaussians(
        means=torch.tensor(points, dtype=torch.float32),
        quats=torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)),
        log_scales=torch.tensor(np.log(widths), dtype=torch.float32)[:, None].repeat(1, 3),
        logit_opacities=torch.logit(torch.full((count,), opacity)),
        sh=sh,
    )


def _not_far_outside(points: Float[np.ndarray, "n 3"]) -> np.ndarray:
    """Mask without stray points: far out, they would get Gaussians as large as the scene."""
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    keep: np.ndarray = distance <= 30 * np.median(distance)
    return keep
