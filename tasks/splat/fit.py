"""The splat stage: from a reconstruction to Gaussians fitted to its training photos."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from tasks.artefacts import Lazy
from tasks.gaussians import Gaussians
from tasks.images import from_uint8
from tasks.metrics.images import psnr_db
from tasks.runtime.context import Context
from tasks.sfm.tracks import link_tracks
from tasks.sfm.triangulate import sample_colours, triangulate_tracks
from tasks.splat.config import EveryNth, SplatConfig, TrainOn
from tasks.splat.densify.budget import most_gaussians
from tasks.splat.init.initialise import Initialisation, initialise
from tasks.splat.render import render
from tasks.splat.split import Split, split_photos
from tasks.splat.train.floaters import camera_near_depths, cleared
from tasks.splat.train.trainer import Fitted, Score, Watch, ignore, optimise
from tasks.splat.training_photos import PosedPhotos, SizedPhotos, sized_photos

INITIALISING = 0.05
"""Share of the stage's time, about, that the depth maps take before the first iteration."""
WATCHED = 4
"""Held-out photos, at most, that are scored during the fit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splat:
    """A fitted splat, and the side of each photo."""

    fitted: Fitted
    training: tuple[str, ...]
    validation: tuple[str, ...]
    """Photos that no stage fits to, for choosing between splats."""
    held_out: tuple[str, ...]
    """Photos that lend the splat nothing but their poses."""
    not_fitted: tuple[str, ...]
    """Photos left out of this fit that its initial splat may have been fitted to."""
    longest_edge: int
    """Longest edge of the photos fitted to, px."""
    initial_points: int
    """Number of initial Gaussians, without the background."""
    near_depths: Float64[np.ndarray, " t"] | None
    """Near depth of the scene in each training photo, world units; None for a fit that started from
    a splat, and so has no points."""


def fit(
    posed: PosedPhotos,
    split: EveryNth | TrainOn,
    config: SplatConfig,
    *,
    start: Gaussians | None = None,
    watch: Watch = ignore,
    context: Context = Context(),
) -> Splat:
    """Choose the training photos, triangulate their own matches unless a splat is given, and fit.

    Args:
        posed: all photos with a pose; only the training photos are fitted to, and some held-out
            ones are scored on the way.
        start: an initial splat in the frame of the cameras, in place of triangulated points. It may
            know any photo, so none is held out then.
        watch: sees the Gaussians on the way; nothing depends on it.
        context: its checkpoints are those of these very arguments: an interrupted fit resumes.

    Raises:
        InputError: too few training photos, too few points seen by two of them, or more than there
            may be Gaussians.
        DivergedError: the optimisation diverged.
    """
    cameras = posed.cameras
    chosen = split_photos(cameras.names, split)
    training = _sized(posed, chosen.training, config)
    if start is None:
        initial, near_depths = _initialised(
            posed, training, chosen, config, context.part(0.0, INITIALISING)
        )
    else:
        initial, near_depths = Initialisation(gaussians=start), None
    held_out = chosen.held_out if start is None else ()
    not_fitted = () if start is None else chosen.held_out
    watched = _sized(posed, held_out[:: -(-len(held_out) // WATCHED) or 1], config)
    fitted = optimise(
        training,
        initial,
        config,
        warm_start=start is not None,
        score=_score_on(watched, context) if watched.photos else None,
        watch=watch,
        context=context.part(INITIALISING, 1.0),
    )
    gaussians = cleared(fitted.gaussians, training.cameras, near_depths, config.clearance)
    return Splat(
        fitted=replace(fitted, gaussians=gaussians),
        training=training.cameras.names,
        validation=cameras.select(chosen.validation).names,
        held_out=cameras.select(held_out).names,
        not_fitted=cameras.select(not_fitted).names,
        longest_edge=config.max_size,
        initial_points=len(initial.gaussians.foreground),
        near_depths=near_depths,
    )


def _sized(posed: PosedPhotos, chosen: tuple[int, ...], config: SplatConfig) -> SizedPhotos:
    return sized_photos(posed.cameras, posed.photos, chosen, config.max_size, masks=posed.masks)


def _initialised(
    posed: PosedPhotos,
    training: SizedPhotos,
    chosen: Split,
    config: SplatConfig,
    context: Context,
) -> tuple[Initialisation, Float64[np.ndarray, " t"]]:
    """Initial Gaussians from the training photos alone, and the near depth of each."""
    photos = chosen.training
    cameras = posed.cameras.select(photos)
    tracks = link_tracks(cameras, posed.matches.only(photos))
    points = triangulate_tracks(cameras, tracks)
    pixels = Lazy(len(photos), lambda place: posed.photos[photos[place]])
    colours = sample_colours(tracks, points.tracks, pixels)
    initial = initialise(training, points, colours, tracks, config, context=context)
    return initial, camera_near_depths(training.cameras, points.points)


def notes_on(splat: Splat, config: SplatConfig) -> tuple[str, ...]:
    """Warnings for users of the splat."""
    if not splat.fitted.at_limit:
        return ()
    return (
        f"the splat wanted more than the {most_gaussians(config):,} Gaussians that "
        f"splat.memory_gib {config.memory_gib:g} and splat.max_gaussians "
        f"{config.max_gaussians or 'null'} allow; raise them for more detail",
    )


def psnr_db_on(
    splat: Gaussians, photos: SizedPhotos, *, context: Context = Context()
) -> tuple[float, ...]:
    """PSNR of a splat's renders against each photo, dB, over the pixels with weight."""
    return tuple(
        psnr_db(
            render(splat, photos.cameras, index, device=context.device)
            .rgb.clamp(0, 1)
            .cpu()
            .numpy(),
            from_uint8(photo),
            None if weight is None else weight > 0,
        )
        for index, (photo, weight) in enumerate(zip(photos.photos, photos.weights, strict=True))
    )


def _score_on(held_out: SizedPhotos, context: Context) -> Score:
    return lambda gaussians: float(np.mean(psnr_db_on(gaussians, held_out, context=context)))
