"""The splat stage: from a reconstruction to Gaussians fitted to its training photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from tasks.cameras import Cameras
from tasks.evaluate.images import psnr_db
from tasks.gaussians import Gaussians
from tasks.images import fitted_sizes, from_levels, resized, resized_mask
from tasks.sfm.triangulate import Observations, sample_colours, triangulate_tracks
from tasks.site import Device, Progress, no_progress
from tasks.splat.checkpoints import NO_CHECKPOINTS, Checkpoints
from tasks.splat.config import EveryNth, SplatConfig, TrainOn
from tasks.splat.densify.limit import most_gaussians
from tasks.splat.initialise import gaussians_from_points
from tasks.splat.optimise import Fitted, Score, optimise
from tasks.splat.render import render
from tasks.splat.split import split_photos

WATCHED = 4
"""Held-out photos, at most, that are scored while the splat is fitted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splat:
    """A fitted splat, and which photos it knows."""

    fitted: Fitted
    training: tuple[str, ...]
    guard: tuple[str, ...]
    """Photos that no stage fits to, kept to choose between splats by."""
    held_out: tuple[str, ...]
    """Photos that the splat knows nothing of but their poses."""
    not_fitted: tuple[str, ...]
    """Photos left out of this fit, which the splat that it started from may know."""
    longest_edge: int
    """Of the photos fitted to, px."""
    initial_points: int
    """Gaussians that it started from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SizedPhotos:
    """Photos at the size of a fit, what each of their pixels counts, and their cameras."""

    cameras: Cameras
    photos: list[UInt8[np.ndarray, "_ _ 3"]]
    weights: list[Float32[np.ndarray, "_ _"] | None]


def sized_photos(
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    chosen: Sequence[int],
    max_size: int,
    *,
    masks: Sequence[Bool[np.ndarray, "_ _"] | None] | None = None,
) -> SizedPhotos:
    """The photos at ``chosen``, read one at a time, their longest edge at most ``max_size`` px."""
    smaller = cameras.select(chosen)
    smaller = smaller.resized(fitted_sizes(smaller.sizes, max_size))
    sizes = [smaller.size(index) for index in range(len(smaller))]
    return SizedPhotos(
        cameras=smaller,
        photos=[resized(photos[i], size) for i, size in zip(chosen, sizes, strict=True)],
        weights=[
            None
            if masks is None or (mask := masks[i]) is None
            else resized_mask(mask, size).astype(np.float32)
            for i, size in zip(chosen, sizes, strict=True)
        ],
    )


def fit(
    cameras: Cameras,
    observations: Observations,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    split: EveryNth | TrainOn,
    config: SplatConfig,
    *,
    start: Gaussians | None = None,
    masks: Sequence[Bool[np.ndarray, "_ _"] | None] | None = None,
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
        checkpoints: of these very arguments; a fit that was cut off goes on from there.

    Raises:
        InputError: too few training photos, too few points seen by two of them, or more than there
            may be Gaussians.
        MachineError: the optimisation diverged.
    """
    chosen = split_photos(cameras.names, split)
    if start is None:
        initial = _from_points(cameras, observations, photos, chosen.training, config)
    else:
        initial = start
    held_out = chosen.held_out if start is None else ()
    not_fitted = () if start is None else chosen.held_out
    training = sized_photos(cameras, photos, chosen.training, config.max_size, masks=masks)
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
        initial,
        config,
        settled=start is not None,
        weights=training.weights,
        score=_score_on(watched, device) if watched.photos else None,
        device=device,
        progress=progress,
        checkpoints=checkpoints,
    )
    return Splat(
        fitted=fitted,
        training=training.cameras.names,
        guard=cameras.select(chosen.guard).names,
        held_out=cameras.select(held_out).names,
        not_fitted=cameras.select(not_fitted).names,
        longest_edge=config.max_size,
        initial_points=len(initial),
    )


def _from_points(
    cameras: Cameras,
    observations: Observations,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    training: Sequence[int],
    config: SplatConfig,
) -> Gaussians:
    found = triangulate_tracks(cameras, observations, photos=training)
    return gaussians_from_points(
        found.points,
        sample_colours(observations, found.tracks, photos, photos=training),
        sh_degree=config.sh_degree,
        seed=config.seed,
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
