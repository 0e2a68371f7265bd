"""The splat stage: from a reconstruction to Gaussians fitted to its training photos."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.images import from_levels
from tasks.metrics.images import psnr_db
from tasks.runtime.checkpoints import NO_CHECKPOINTS, Checkpoints
from tasks.runtime.context import Device
from tasks.runtime.progress import Progress, no_progress
from tasks.sfm.triangulate import Observations, sample_colours, triangulate_tracks
from tasks.splat.config import EveryNth, SplatConfig, TrainOn
from tasks.splat.densify.budget import most_gaussians
from tasks.splat.init.initialise import Initialisation, begin
from tasks.splat.render import render
from tasks.splat.split import split_photos
from tasks.splat.train.floaters import cleared, scene_near_depths
from tasks.splat.train.trainer import Fitted, Score, Watch, nobody, optimise
from tasks.splat.training_photos import SizedPhotos, sized_photos

BEGINNING = 0.05
"""Share of the stage's time, about, that its depths take before the first iteration."""
WATCHED = 4
"""Held-out photos, at most, that are scored while the splat is fitted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splat:
    """A fitted splat, and which photos it knows."""

    fitted: Fitted
    training: tuple[str, ...]
    validation: tuple[str, ...]
    """Photos that no stage fits to, kept to choose between splats by."""
    held_out: tuple[str, ...]
    """Photos that the splat knows nothing of but their poses."""
    not_fitted: tuple[str, ...]
    """Photos left out of this fit, which the splat that it started from may know."""
    longest_edge: int
    """Of the photos fitted to, px."""
    initial_points: int
    """Gaussians that it started from, but for the backdrop."""
    near_depths: Float64[np.ndarray, " t"] | None
    """Depth at which the scene begins before each training photo, world units; None of a fit that
    started from a splat, which knows no points."""


def fit(
    cameras: Cameras,
    observations: Observations,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    split: EveryNth | TrainOn,
    config: SplatConfig,
    *,
    start: Gaussians | None = None,
    masks: Sequence[Bool[np.ndarray, "_ _"] | None] | None = None,
    watch: Watch = nobody,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> Splat:
    """Choose the training photos, triangulate from them alone unless a splat is given, and fit.

    Args:
        cameras: undistorted pinhole cameras of all photos with a pose.
        observations: of the sparse points, in pixels of those photos.
        photos: the undistorted photos of ``cameras``; only the training photos are fitted to, and
            some held-out ones are scored on the way.
        start: a splat in the frame of ``cameras`` to start from in place of triangulated points. It
            may know any photo, so none is held out then.
        masks: of those photos, of their sizes: where they may be fitted to; None = everywhere.
        watch: sees the Gaussians on the way; nothing depends on it.
        checkpoints: of these very arguments; a fit that was cut off goes on from there.

    Raises:
        InputError: too few training photos, too few points seen by two of them, or more than there
            may be Gaussians.
        MachineError: the optimisation diverged.
    """
    chosen = split_photos(cameras.names, split)
    training = sized_photos(cameras, photos, chosen.training, config.max_size, masks=masks)
    near_depths = None
    if start is None:
        found = triangulate_tracks(cameras, observations, photos=chosen.training)
        beginning = begin(
            training,
            found,
            sample_colours(observations, found.tracks, photos, photos=chosen.training),
            observations,
            chosen.training,
            config,
            progress=lambda share, doing: progress(BEGINNING * share, doing),
        )
        near_depths = scene_near_depths(training.cameras, found.points)
    else:
        beginning = Initialisation(gaussians=start)
    held_out = chosen.held_out if start is None else ()
    not_fitted = () if start is None else chosen.held_out
    watched = sized_photos(
        cameras,
        photos,
        held_out[:: -(-len(held_out) // WATCHED) or 1],
        config.max_size,
        masks=masks,
    )
    fitted = optimise(
        training.photos,
        training.cameras,
        beginning,
        config,
        warm_start=start is not None,
        weights=training.weights,
        score=_score_on(watched, device) if watched.photos else None,
        watch=watch,
        device=device,
        progress=lambda share, doing: progress(BEGINNING + (1 - BEGINNING) * share, doing),
        checkpoints=checkpoints,
    )
    gaussians = cleared(fitted.gaussians, training.cameras, near_depths, config.clearance)
    return Splat(
        fitted=replace(fitted, gaussians=gaussians),
        training=training.cameras.names,
        validation=cameras.select(chosen.validation).names,
        held_out=cameras.select(held_out).names,
        not_fitted=cameras.select(not_fitted).names,
        longest_edge=config.max_size,
        initial_points=len(beginning.gaussians.foreground),
        near_depths=near_depths,
    )


def notes_on(splat: Splat, config: SplatConfig) -> tuple[str, ...]:
    """What somebody who looks at the splat should know."""
    if not splat.fitted.at_limit:
        return ()
    return (
        f"the splat wanted more than the {most_gaussians(config):,} Gaussians that "
        f"splat.memory_gib {config.memory_gib:g} and splat.max_gaussians "
        f"{config.max_gaussians or 'null'} allow; raise them for more detail",
    )


def psnr_db_on(splat: Gaussians, seen: SizedPhotos, device: Device) -> tuple[float, ...]:
    """How near a splat's views are to photos, decibels, on the pixels that their weights leave."""
    return tuple(
        psnr_db(
            render(splat, seen.cameras, index, device=device).rgb.clamp(0, 1).cpu().numpy(),
            from_levels(photo),
            None if weight is None else weight > 0,
        )
        for index, (photo, weight) in enumerate(zip(seen.photos, seen.weights, strict=True))
    )


def _score_on(held_out: SizedPhotos, device: Device) -> Score:
    return lambda gaussians: float(np.mean(psnr_db_on(gaussians, held_out, device)))
