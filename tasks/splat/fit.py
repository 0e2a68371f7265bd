"""The splat stage: from a reconstruction to Gaussians fitted to its training photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from tasks.cameras import Cameras
from tasks.images import fitted_sizes, resized
from tasks.sfm.triangulate import Observations, sample_colours, triangulate_tracks
from tasks.site import Device, Progress, no_progress
from tasks.splat.config import EveryNth, SplatConfig, TrainOn
from tasks.splat.initialise import gaussians_from_points
from tasks.splat.optimise import Fitted, optimise
from tasks.splat.split import split_photos


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splat:
    """A fitted splat, and which photos it knows."""

    fitted: Fitted
    training: tuple[str, ...]
    held_out: tuple[str, ...]
    longest_edge: int
    """Of the photos fitted to, px."""
    initial_points: int


def fit(
    cameras: Cameras,
    observations: Observations,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    split: EveryNth | TrainOn,
    config: SplatConfig,
    *,
    device: Device = "cpu",
    progress: Progress = no_progress,
) -> Splat:
    """Choose the training photos, triangulate from them alone, and fit.

    Args:
        cameras: undistorted pinhole cameras of all photos with a pose.
        observations: of the sparse points, in pixels of those photos.
        photos: the undistorted photos of ``cameras``; only the training photos are read.

    Raises:
        InputError: too few training photos, or too few points seen by two of them.
        MachineError: the optimisation diverged.
    """
    chosen = split_photos(cameras.names, split)
    found = triangulate_tracks(cameras, observations, photos=chosen.training)
    initial = gaussians_from_points(
        found.points,
        sample_colours(observations, found.tracks, photos, photos=chosen.training),
        sh_degree=config.sh_degree,
        seed=config.seed,
    )
    training = cameras.select(chosen.training)
    training = training.resized(fitted_sizes(training.sizes, config.max_size))
    fitted = optimise(
        [
            resized(photos[index], (int(width), int(height)))
            for index, (width, height) in zip(chosen.training, training.sizes, strict=True)
        ],
        training,
        initial,
        config,
        device=device,
        progress=progress,
    )
    return Splat(
        fitted=fitted,
        training=training.names,
        held_out=cameras.select(chosen.held_out).names,
        longest_edge=config.max_size,
        initial_points=len(initial),
    )
