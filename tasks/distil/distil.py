"""A splat's optimisation continued: with refined views, and without, as their control."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64

from tasks.cameras import Cameras
from tasks.distil.config import ControlConfig, DistilConfig
from tasks.gaussians import Gaussians
from tasks.runtime.checkpoints import NO_CHECKPOINTS, Checkpoints
from tasks.runtime.context import Device
from tasks.runtime.progress import Progress, no_progress
from tasks.splat.config import SplatConfig
from tasks.splat.densify.budget import most_gaussians
from tasks.splat.fit import psnr_db_on
from tasks.splat.init.background import background_image
from tasks.splat.render import render
from tasks.splat.train.batches import photo_order
from tasks.splat.train.floaters import cleared
from tasks.splat.train.loss import prepare_target
from tasks.splat.train.trainer import (
    Descent,
    Fitted,
    Step,
    View,
    descend,
    scene_extent,
    views_of,
)
from tasks.splat.training_photos import SizedPhotos

Selected = Literal["distilled", "control"]
Begins = Float64[np.ndarray, " t"] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefinedTarget:
    """What a splat should show from a place where no photo was taken."""

    camera: Cameras
    """Of length 1."""
    image: Float32[np.ndarray, "h w 3"]
    """0..1."""
    weight: Float32[np.ndarray, "h w"]
    """How far each pixel may be trusted, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The better of two continuations by the guard photos."""

    control_psnr_db: tuple[float, ...]
    """On each guard photo."""
    distilled_psnr_db: tuple[float, ...]
    """On each guard photo."""
    selected: Selected


def continue_fit(
    base: Gaussians,
    training: SizedPhotos,
    splat_config: SplatConfig,
    config: ControlConfig,
    *,
    near_depths: Begins = None,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> Fitted:
    """Continue a splat with its photos alone: the control of what refined views are worth.

    Args:
        base: the splat, fitted to ``training``.
        training: the photos it was fitted to, at that size.
        splat_config: how the splat was fitted; its loss is kept.
        begins: depth at which the scene begins before each photo, see
            :func:`tasks.splat.train.floaters.scene_begins`; None clears nothing there.
        checkpoints: of these very arguments.

    Raises:
        MachineError: the optimisation diverged.
    """
    photos = _photos(base, training, device)
    steps = (
        Step(views=(photos[turn],), sh_degree=base.sh_degree) for turn in _turns(photos, config)
    )
    return _continued(
        base, training, steps, splat_config, config, near_depths, device, progress, checkpoints
    )


def distil(
    base: Gaussians,
    training: SizedPhotos,
    refined: Sequence[RefinedTarget],
    splat_config: SplatConfig,
    config: DistilConfig,
    *,
    near_depths: Begins = None,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> Fitted:
    """Continue a splat with refined views beside its photos.

    The photos come in the same order as in :func:`fit_on`; some of their turns go to refined views.

    Args:
        refined: may be none: it is then the control once more.

    The others, and what is raised, are those of :func:`fit_on`. Source of mixing refined views in
    by chance and weight: Wu et al., Difix3D+, CVPR 2025.
    """
    photos = _photos(base, training, device)
    targets = [_view(target, base, config, device) for target in refined]
    steps = _steps(photos, targets, base.sh_degree, config)
    return _continued(
        base, training, steps, splat_config, config, near_depths, device, progress, checkpoints
    )


def choose(
    control: Gaussians, distilled: Gaussians, validation: SizedPhotos, *, device: Device = "cpu"
) -> Choice:
    """The distilled splat, unless the control shows the guard photos better.

    Args:
        guard: photos that neither was fitted to; may be none, and then nothing guards.
    """
    control_psnr_db = psnr_db_on(control, validation, device)
    distilled_psnr_db = psnr_db_on(distilled, validation, device)
    better = sum(distilled_psnr_db) >= sum(control_psnr_db)
    return Choice(
        control_psnr_db=control_psnr_db,
        distilled_psnr_db=distilled_psnr_db,
        selected="distilled" if better else "control",
    )


def _continued(
    base: Gaussians,
    training: SizedPhotos,
    steps: Iterator[Step],
    splat_config: SplatConfig,
    config: ControlConfig,
    near_depths: Begins,
    device: Device,
    progress: Progress,
    checkpoints: Checkpoints,
) -> Fitted:
    descent = _descent(training, splat_config, config)
    fitted = descend(
        base, steps, descent, device=device, progress=progress, checkpoints=checkpoints
    )
    kept = cleared(fitted.gaussians, training.cameras, near_depths, splat_config.clearance)
    return replace(fitted, gaussians=kept)


def _photos(base: Gaussians, training: SizedPhotos, device: Device) -> list[View]:
    return views_of(
        training.photos,
        training.cameras,
        weights=training.weights,
        background=base.background,
        device=device,
    )


def _descent(training: SizedPhotos, splat_config: SplatConfig, config: ControlConfig) -> Descent:
    return Descent(
        iterations=config.iterations,
        extent=scene_extent(training.cameras),
        densify=splat_config.densify.model_copy(update={"start": 0}) if config.densify else None,
        most_gaussians=most_gaussians(splat_config),
        ssim_weight=splat_config.ssim_weight,
        opacity_weight=splat_config.opacity_weight,
        scale_weight=splat_config.scale_weight,
        max_relative_scale=splat_config.max_relative_scale,
        sparse=splat_config.sparse,
        packed=splat_config.packed,
        centres=training.cameras.centres,
        seed=config.seed,
    )


def _turns(photos: Sequence[View], config: ControlConfig) -> Iterator[int]:
    return photo_order(len(photos), config.seed)


def _steps(
    photos: Sequence[View], targets: Sequence[View], sh_degree: int, config: DistilConfig
) -> Iterator[Step]:
    photo = _turns(photos, config)
    target = photo_order(len(targets), config.seed + 1)
    rng = np.random.default_rng([config.seed, 2])
    probability = config.probability_beside(len(photos))
    while True:
        turn = next(photo)  # passed over where a refined view comes: the control keeps in step
        if targets and rng.random() < probability:
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
        background_image=background_image(base.background, target.camera, 0, device),
    )
