"""Initial Gaussians of a training, on the surfaces that the training photos show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from tasks.depth.config import DenseConfig
from tasks.depth.depth_maps import depth_maps
from tasks.depth.neighbours import sparse_points
from tasks.gaussians import Gaussians, joined
from tasks.runtime.context import Context
from tasks.sfm.triangulate import Observations, TriangulatedPoints
from tasks.splat.config import SplatConfig
from tasks.splat.densify.budget import most_gaussians
from tasks.splat.init.background import background_shell
from tasks.splat.init.dense import dense_points
from tasks.splat.init.points import gaussians_from_points, gaussians_of
from tasks.splat.training_photos import SizedPhotos

DENSE_OPACITY = 0.3
"""Higher than that of triangulated points: several photos agree on a swept point."""
DENSE_WIDTH = 0.6
"""Standard deviation, in distances between neighbouring points of a photo."""
SHARE_OF_ROOM = 0.5
"""Largest share of swept points in the limit of Gaussians; the rest is left to densification."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Initialisation:
    """Gaussians to train, and depth maps to train them with."""

    gaussians: Gaussians
    depths: Sequence[Float32[np.ndarray, "_ _"]] | None = None
    """Depths of the training photos along the optical axis, world units, 0 = unknown; None if no
    loss uses them."""


def initialise(
    training: SizedPhotos,
    points: TriangulatedPoints,
    colours: Float32[np.ndarray, "p 3"],
    tracks: Observations,
    config: SplatConfig,
    *,
    context: Context = Context(),
) -> Initialisation:
    """Gaussians for triangulated points and, by the config, for swept points and a background.

    Args:
        points: triangulated from the training photos alone.
        colours: of the points, RGB in [0, 1].
        tracks: that the points were triangulated from, in the photos of ``training``.

    Raises:
        InputError: too few points to span a scene.
    """
    parts = [
        gaussians_from_points(points.points, colours, sh_degree=config.sh_degree, seed=config.seed)
    ]
    if config.background:
        parts.insert(0, background_shell(training, points.points, sh_degree=config.sh_degree))
    if not isinstance(config.init, DenseConfig):
        return Initialisation(gaussians=joined(parts))
    room = most_gaussians(config) - sum(map(len, parts))
    init = config.init.model_copy(
        update={"max_points": min(config.init.max_points, max(0, int(SHARE_OF_ROOM * room)))}
    )
    maps = depth_maps(
        training.cameras,
        training.photos,
        sparse_points(points, tracks),
        init,
        masks=[None if weight is None else weight > 0 for weight in training.weights],
        context=context,
    )
    swept = dense_points(training.cameras, training.photos, maps, init)
    parts.append(
        gaussians_of(
            swept.points,
            swept.colours,
            DENSE_WIDTH * swept.scales,
            opacity=DENSE_OPACITY,
            sh_degree=config.sh_degree,
            seed=config.seed + 1,
        )
    )
    return Initialisation(
        gaussians=joined(parts),
        depths=[one.depth for one in maps] if config.depth_weight else None,
    )
