"""Optimisation of a splat continued with refined views, beside a control that goes on without."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32

from tasks.cameras import Cameras
from tasks.distil.config import DistilConfig
from tasks.gaussians import Gaussians
from tasks.site import Device, Progress, no_progress
from tasks.splat.backdrop import behind
from tasks.splat.batches import photo_order
from tasks.splat.checkpoints import NO_CHECKPOINTS, Checkpoints, DescentState
from tasks.splat.config import SplatConfig
from tasks.splat.densify.limit import most_gaussians
from tasks.splat.fit import psnr_db_on
from tasks.splat.loss import prepare_target
from tasks.splat.optimise import (
    Descent,
    Fitted,
    Step,
    View,
    descend,
    scene_extent,
    views_of,
)
from tasks.splat.render import render
from tasks.splat.sized_photos import SizedPhotos

Shipped = Literal["distilled", "control"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefinedTarget:
    """What a splat should show from a place where no photo was taken."""

    camera: Cameras
    """Of length 1."""
    image: Float32[np.ndarray, "h w 3"]
    """0..1."""
    weight: Float32[np.ndarray, "h w"]
    """How far each pixel may be trusted, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distilled:
    """Two continuations of one splat, of equal length, and the better by the guard photos."""

    control: Fitted
    """Went on with the photos alone."""
    distilled: Fitted
    """Went on with photos and refined views."""
    control_guard_psnr_db: tuple[float, ...]
    """On each guard photo."""
    distilled_guard_psnr_db: tuple[float, ...]
    shipped: Shipped


def distil(
    base: Gaussians,
    training: SizedPhotos,
    guard: SizedPhotos,
    refined: Sequence[RefinedTarget],
    splat_config: SplatConfig,
    config: DistilConfig,
    *,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Callable[[str], Checkpoints[DescentState]] = lambda part: NO_CHECKPOINTS,
) -> Distilled:
    """Continue a splat twice, with refined views and without, and choose by the guard photos.

    Both take the photos in the same order; with refined views, some photos' turns go to them.

    Args:
        base: the splat, fitted to ``training``.
        training: the photos it was fitted to, at that size.
        guard: photos that it was not fitted to; may be none, and then nothing guards.
        refined: may be none: both continuations are then the same, and the control ships.
        splat_config: how the splat was fitted; its loss is kept.
        checkpoints: of these very arguments, by the name of the continuation.

    Raises:
        MachineError: the optimisation diverged.

    Source of mixing refined views in by chance and weight: Wu et al., Difix3D+, CVPR 2025.
    """
    photos = views_of(
        training.photos,
        training.cameras,
        weights=training.weights,
        background=base.background,
        device=device,
    )
    targets = [_view(target, base, config, device) for target in refined]
    descent = Descent(
        iterations=config.iterations,
        extent=scene_extent(training.cameras),
        densify=splat_config.densify.model_copy(update={"start": 0}) if config.densify else None,
        most_gaussians=most_gaussians(splat_config),
        ssim_weight=splat_config.ssim_weight,
        opacity_weight=splat_config.opacity_weight,
        scale_weight=splat_config.scale_weight,
        widest=splat_config.widest,
        sparse=splat_config.sparse,
        packed=splat_config.packed,
        centres=training.cameras.centres,
        seed=config.seed,
    )

    def continued(which: Shipped, targets: list[View], done: float, doing: str) -> Fitted:
        return descend(
            base,
            _steps(photos, targets, base.sh_degree, config),
            descent,
            device=device,
            progress=lambda share, what: progress(done + share / 2, f"{doing}, {what}"),
            checkpoints=checkpoints(which),
        )

    control = continued("control", [], 0.0, "photos alone")
    distilled = continued("distilled", targets, 0.5, "with refined views") if targets else control
    control_psnr_db = psnr_db_on(control.gaussians, guard, device)
    distilled_psnr_db = psnr_db_on(distilled.gaussians, guard, device)
    progress(1.0, f"continued with {len(targets)} refined views")
    return Distilled(
        control=control,
        distilled=distilled,
        control_guard_psnr_db=control_psnr_db,
        distilled_guard_psnr_db=distilled_psnr_db,
        shipped="distilled"
        if targets and sum(distilled_psnr_db) >= sum(control_psnr_db)
        else "control",
    )


def _steps(
    photos: Sequence[View], targets: Sequence[View], sh_degree: int, config: DistilConfig
) -> Iterator[Step]:
    photo = photo_order(len(photos), config.seed)
    target = photo_order(len(targets), config.seed + 1)
    dice = np.random.default_rng([config.seed, 2])
    while True:
        turn = next(photo)  # passed over where a refined view comes: the control keeps in step
        if targets and dice.random() < config.probability:
            yield Step(views=(targets[next(target)],), sh_degree=sh_degree, weight=config.weight)
        else:
            yield Step(views=(photos[turn],), sh_degree=sh_degree)


def _view(target: RefinedTarget, base: Gaussians, config: DistilConfig, device: Device) -> View:
    image = torch.from_numpy(target.image).to(device)
    trust = torch.from_numpy(target.weight).to(device)
    if config.confidence_blend:
        shown = render(base, target.camera, 0, device=device).rgb.clamp(0, 1)
        prepared = prepare_target(torch.lerp(shown, image, trust[..., None]))
    else:
        prepared = prepare_target(image, trust)
    width, height = target.camera.size(0)
    return View(
        target=prepared,
        camera_from_world=target.camera.camera_from_world[0],
        intrinsics=target.camera.intrinsics[0],
        width=width,
        height=height,
        behind=behind(base.background, target.camera, 0, device),
    )
