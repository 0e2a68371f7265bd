"""Continued training of a splat: with refined views, and without them as the control."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, Float64

from tasks.cameras import Cameras
from tasks.distil.config import ControlConfig, DistilConfig
from tasks.gaussians import Gaussians
from tasks.runtime.context import Context, Device
from tasks.splat.config import SplatConfig
from tasks.splat.init.background import background_image
from tasks.splat.render import render
from tasks.splat.train.batches import photo_order
from tasks.splat.train.floaters import cleared
from tasks.splat.train.loss import prepare_target
from tasks.splat.train.settings import settings_for
from tasks.splat.train.targets import Batch, TrainingView, photo_views, training_view
from tasks.splat.train.trainer import Fitted, train
from tasks.splat.training_photos import SizedPhotos

NearDepths = Float64[np.ndarray, " t"] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefinedTarget:
    """A refined view as a target, at a place where no photo was taken."""

    camera: Cameras
    """One camera."""
    image: Float32[np.ndarray, "h w 3"]
    """RGB, 0..1."""
    weight: Float32[np.ndarray, "h w"]
    """Trust in each pixel, 0..1."""


def continue_fit(
    base: Gaussians,
    training: SizedPhotos,
    splat_config: SplatConfig,
    config: ControlConfig,
    *,
    near_depths: NearDepths = None,
    context: Context = Context(),
) -> Fitted:
    """Continue a splat with its photos alone: the control for the worth of refined views.

    Args:
        base: the splat, fitted to ``training``.
        training: the photos it was fitted to, at that size.
        splat_config: of that fit; its loss is kept.
        near_depths: near depth of the scene in each photo, world units, see
            :func:`tasks.splat.train.floaters.camera_near_depths`; None removes no floaters.
        context: its checkpoints are those of these very arguments.

    Raises:
        DivergedError: the optimisation diverged.
    """
    photos = photo_views(training, background=base.background, device=context.device)
    order = photo_order(len(photos), config.seed)
    batches = (Batch(views=(photos[turn],), sh_degree=base.sh_degree) for turn in order)
    return _continued(base, training, batches, splat_config, config, near_depths, context)


def distil(
    base: Gaussians,
    training: SizedPhotos,
    refined: Sequence[RefinedTarget],
    splat_config: SplatConfig,
    config: DistilConfig,
    *,
    near_depths: NearDepths = None,
    context: Context = Context(),
) -> Fitted:
    """Continue a splat with refined views beside its photos.

    The photos come in the same order as in :func:`continue_fit`; refined views replace some of
    them. The other arguments and errors are those of that function.

    Args:
        refined: may be empty, which gives the control once more.

    Source of mixing refined views in by chance and weight: Wu et al., Difix3D+, CVPR 2025.
    """
    photos = photo_views(training, background=base.background, device=context.device)
    targets = [_view(target, base, config, context.device) for target in refined]
    batches = _mixed(photos, targets, base.sh_degree, config)
    return _continued(base, training, batches, splat_config, config, near_depths, context)


def _continued(
    base: Gaussians,
    training: SizedPhotos,
    batches: Iterable[Batch],
    splat_config: SplatConfig,
    config: ControlConfig,
    near_depths: NearDepths,
    context: Context,
) -> Fitted:
    settings = settings_for(
        splat_config,
        training.cameras,
        iterations=config.iterations,
        densify=splat_config.densify.model_copy(update={"start": 0}) if config.densify else None,
        seed=config.seed,
    )
    fitted = train(base, batches, settings, context=context)
    kept = cleared(fitted.gaussians, training.cameras, near_depths, splat_config.clearance)
    return replace(fitted, gaussians=kept)


def _mixed(
    photos: Sequence[TrainingView],
    targets: Sequence[TrainingView],
    sh_degree: int,
    config: DistilConfig,
) -> Iterator[Batch]:
    """Photos in order, some of them replaced by refined views at random."""
    photo = photo_order(len(photos), config.seed)
    target = photo_order(len(targets), config.seed + 1)
    rng = np.random.default_rng([config.seed, 2])
    while True:
        turn = next(photo)  # skipped where a refined view comes: the control keeps in step
        if targets and rng.random() < config.probability:
            yield Batch(views=(targets[next(target)],), sh_degree=sh_degree, weight=config.weight)
        else:
            yield Batch(views=(photos[turn],), sh_degree=sh_degree)


def _view(
    target: RefinedTarget, base: Gaussians, config: DistilConfig, device: Device
) -> TrainingView:
    image = torch.from_numpy(target.image).to(device)
    trust = torch.from_numpy(target.weight).to(device)
    if config.confidence_blend:
        shown = render(base, target.camera, 0, device=device).rgb.clamp(0, 1)
        prepared = prepare_target(torch.lerp(shown, image, trust[..., None]))
    else:
        prepared = prepare_target(image, trust)
    background = background_image(base.background, target.camera, 0, device)
    return training_view(prepared, target.camera, 0, background_image=background)
