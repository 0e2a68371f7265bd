"""Targets of a splat's training: images, depths and backgrounds by camera, and their loss."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from PIL import Image
from torch import Tensor

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.images import resized, resized_mask
from tasks.runtime.context import Device
from tasks.splat.init.background import background_image
from tasks.splat.rasterise.protocol import PinholeCameras, Rendering
from tasks.splat.train.depth_loss import DepthTarget, depth_loss, depth_target
from tasks.splat.train.loss import PreparedTarget, photometric_loss, prepare_target
from tasks.splat.train.per_photo import PerPhoto
from tasks.splat.train.settings import TrainSettings
from tasks.splat.training_photos import SizedPhotos


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingView:
    """An image to fit to, and its camera."""

    target: PreparedTarget
    camera_from_world: Float64[np.ndarray, "4 4"]
    intrinsics: Float64[np.ndarray, "3 3"]
    width: int
    height: int
    background_image: Float32[Tensor, "h w 3"] | None = None
    """Image behind the Gaussians; None for black."""
    depth: DepthTarget | None = None
    photo: int | None = None
    """Index of the photo; None for an image that is not a photo."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """The targets of one iteration."""

    views: tuple[TrainingView, ...]
    """One or more, of one size; the loss is their mean."""
    sh_degree: int
    weight: float = 1.0
    """Factor of that loss."""


def from_iteration(batches: Iterable[Batch], iteration: int) -> Generator[Batch, None, None]:
    """Drop the batches before an iteration."""
    yield from islice(batches, iteration, None)


def cameras_of(views: Sequence[TrainingView], per_photo: PerPhoto) -> PinholeCameras:
    """The camera of one view, or the stack of the cameras of several."""
    poses: list[Any] = [per_photo.pose(view.camera_from_world, view.photo) for view in views]
    backgrounds = [view.background_image for view in views if view.background_image is not None]
    if len(views) == 1:
        pose, intrinsics, background = poses[0], views[0].intrinsics, views[0].background_image
    else:
        pose = torch.stack(poses) if isinstance(poses[0], Tensor) else np.stack(poses)
        intrinsics = np.stack([view.intrinsics for view in views])
        background = torch.stack(backgrounds) if backgrounds else None
    return PinholeCameras(
        camera_from_world=pose,
        intrinsics=intrinsics,
        width=views[0].width,
        height=views[0].height,
        background_image=background,
    )


def training_view(
    target: PreparedTarget,
    cameras: Cameras,
    index: int,
    *,
    background_image: Float32[Tensor, "h w 3"] | None,
    depth: DepthTarget | None = None,
    photo: int | None = None,
) -> TrainingView:
    """A target seen by camera ``index``, of its size."""
    width, height = cameras.size(index)
    return TrainingView(
        target=target,
        camera_from_world=cameras.camera_from_world[index],
        intrinsics=cameras.intrinsics[index],
        width=width,
        height=height,
        background_image=background_image,
        depth=depth,
        photo=photo,
    )


def photo_views(
    training: SizedPhotos,
    *,
    depths: Sequence[Float32[np.ndarray, "_ _"]] | None = None,
    background: Gaussians | None = None,
    factor: int = 1,
    device: Device = "cpu",
) -> list[TrainingView]:
    """Photos as targets, ``factor`` times smaller.

    Args:
        depths: depth maps of the photos, world units, 0 = unknown.
        background: Gaussians of the background alone; None or none of them for black.
    """
    cameras = training.cameras.resized(np.maximum(1, training.cameras.sizes // factor))
    return [
        training_view(
            _target(photo, weight, cameras.size(i), device),
            cameras,
            i,
            background_image=None
            if background is None
            else background_image(background, cameras, i, device),
            depth=None if depths is None else depth_target(depths[i], cameras.size(i), device),
            photo=i,
        )
        for i, (photo, weight) in enumerate(zip(training.photos, training.weights, strict=True))
    ]


def batch_loss(
    batch: Batch, rendering: Rendering, per_photo: PerPhoto, settings: TrainSettings
) -> Float32[Tensor, ""]:
    """Photometric and depth loss, mean over the views of a batch, times the batch's weight.

    Args:
        rendering: of the batch's cameras; stacked where there are several.
    """
    losses = [
        _view_loss(view, rendering, None if len(batch.views) == 1 else index, per_photo, settings)
        for index, view in enumerate(batch.views)
    ]
    return batch.weight * (torch.stack(losses).mean() if len(losses) > 1 else losses[0])


def _view_loss(
    view: TrainingView,
    rendering: Rendering,
    index: int | None,
    per_photo: PerPhoto,
    settings: TrainSettings,
) -> Float32[Tensor, ""]:
    """
    Args:
        index: of the view in a stacked rendering; None for a rendering of it alone.
    """
    rgb, alpha, depth = (
        image if image is None or index is None else image[index]
        for image in (rendering.rgb, rendering.alpha, rendering.depth)
    )
    assert rgb is not None
    assert alpha is not None
    shown = per_photo.colours(rgb, view.photo)
    loss = photometric_loss(shown, view.target, ssim_weight=settings.ssim_weight)
    if depth is not None and view.depth is not None:
        loss = loss + settings.depth_weight * depth_loss(depth, alpha, view.depth)
    return loss


def _target(
    photo: np.ndarray, weight: np.ndarray | None, size: tuple[int, int], device: Device
) -> PreparedTarget:
    image = torch.from_numpy(resized(photo, size)).to(device) / 255.0
    if weight is None:
        return prepare_target(image)
    smaller = np.array(Image.fromarray(weight).resize(size, Image.Resampling.BOX))
    smaller *= resized_mask(weight > 0, size)  # masked pixels must not bleed in at the edges
    return prepare_target(image, torch.from_numpy(smaller).to(device))
