"""Renders of a splat at any pose, compared with its training photos."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from storage.handles import ArrayHandle
from tasks.cameras import Cameras
from tasks.depth.plane_sweep import plane_sweep
from tasks.depth.sweep import Swept
from tasks.gaussians import Gaussians
from tasks.images import fitted_sizes, from_uint8, resized, resized_mask, to_uint8
from tasks.runtime.context import Context, Device
from tasks.sfm.artefact import Sparse
from tasks.splat.artefact import read_gaussians
from tasks.splat.render import render
from tasks.views.confidence import confidence, predicted_error
from tasks.views.config import ViewsConfig
from tasks.views.proximity import neighbour_spacing, pose_distances
from tasks.views.residuals import as_colours, mean_residuals
from tasks.views.surface import Surface, meet_surface
from tasks.views.visibility import PhotoStack, visibility, warp

CANDIDATES = 8
"""Number of nearest photos that a view is compared with; others hardly ever show it better."""
UNSEEN_WEIGHT = 1e-3
"""Weight of a photo that does not show the pixel: effective only where no photo does."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NovelView:
    """A render at a pose without a photo, and its comparison with the photos."""

    camera: Cameras
    """One, of the size of the view."""
    rgb: Float32[np.ndarray, "h w 3"]
    """The render, in [0, 1]."""
    depth: Float32[np.ndarray, "h w"]
    """Expected depth along the optical axis, world units; positive: where the view is empty
    (alpha 0) it is the median of the rest."""
    alpha: Float32[np.ndarray, "h w"]
    """Accumulated opacity of the scene without the background."""
    confidence: Float32[np.ndarray, "h w"]
    """In [0, 1]; see :mod:`tasks.views.confidence`."""
    nearest: str
    """The photo of largest visibility of the view from nearly the same side."""
    warped: Float32[np.ndarray, "h w 3"]
    """That photo, warped into the view by the rendered depth."""
    warped_valid: Float32[np.ndarray, "h w"]
    """Visibility of the pixel's point in it, in [0, 1]."""
    sources: tuple[str, ...]
    """The best photos, ``nearest`` first."""
    swept: Swept
    """Plane sweep over ``sources``, in their order."""
    surface: Surface
    """Distance of the points at the swept depth from the splat's surface in ``sources``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewRenderer:
    """A splat with what is computed once for all views; see :func:`prepare`."""

    gaussians: Gaussians
    """On the device where they are rendered."""
    residuals: Gaussians
    """The same, each showing its mean training residual as grey."""
    stack: PhotoStack
    spacing: float
    """Median distance between neighbouring photos, world units."""
    device: Device


def prepare(
    gaussians: Gaussians,
    cameras: Cameras,
    photos: Iterable[UInt8[np.ndarray, "_ _ 3"]],
    *,
    longest_edge: int,
    masks: Iterable[Bool[np.ndarray, "_ _"] | None] | None = None,
    context: Context = Context(),
) -> ViewRenderer:
    """Render the training poses once, and compute the residual of each Gaussian.

    Args:
        cameras: of the training photos, at least two.
        photos: the training photos, in the order of ``cameras``; taken one at a time.
        longest_edge: of the photos when compared with views, px.
        masks: of the photos; False on unusable pixels.
    """
    cameras = cameras.resized(fitted_sizes(cameras.sizes, longest_edge))
    device = context.device
    gaussians = _moved(gaussians, device)
    widest, highest = (int(extent) for extent in cameras.sizes.max(0))
    padded = (len(cameras), highest, widest)
    stacked = np.zeros((*padded, 3), np.uint8)
    errors = np.zeros((*padded, 1), np.uint8)
    depths = np.ones(padded, np.float32)
    usable = np.zeros(padded, bool)
    exact_errors, weights = [], []
    every_mask = repeat(None, len(cameras)) if masks is None else masks
    for index, (pixels, mask) in enumerate(zip(photos, every_mask, strict=True)):
        width, height = cameras.size(index)
        photo = resized(pixels, (width, height))
        inside = (index, slice(height), slice(width))
        stacked[inside] = photo
        usable[inside] = True if mask is None else resized_mask(mask, (width, height))
        rgb, depths[inside], _ = _render(gaussians, cameras, index, device)
        error = np.abs(rgb - from_uint8(photo)).mean(2)
        errors[inside] = to_uint8(error)[:, :, None]
        exact_errors.append(torch.from_numpy(error).to(device))
        weights.append(torch.from_numpy(usable[inside].astype(np.float32)).to(device))
    residuals = mean_residuals(gaussians, cameras, exact_errors, weights)
    return ViewRenderer(
        gaussians=gaussians,
        residuals=replace(gaussians, sh=as_colours(residuals)),
        stack=PhotoStack(
            cameras=cameras, photos=stacked, errors=errors, depths=depths, usable=usable
        ),
        spacing=neighbour_spacing(cameras),
        device=device,
    )


def render_view(renderer: ViewRenderer, camera: Cameras, config: ViewsConfig) -> NovelView:
    """Render the splat with one camera, and compare the view with the best photos.

    Args:
        camera: a single camera of the size of the view.
    """
    stack = renderer.stack
    rgb, depth, alpha = _render(renderer.gaussians, camera, 0, renderer.device)
    residual = render(renderer.residuals, camera, 0, device=renderer.device)
    distance = pose_distances(camera, stack.cameras, spacing=renderer.spacing)[0]
    candidates = np.argsort(distance, kind="stable")[:CANDIDATES].tolist()
    seen = visibility(depth, camera, stack, candidates)
    # Stable: photos of equal score stay in the order of their distance.
    order = np.argsort(-seen.score, kind="stable")
    ranked = [candidates[place] for place in order]
    nearest, second = (
        warp(depth, camera, stack.photos[index], stack.cameras.select([index]))
        for index in ranked[:2]
    )
    error = warp(depth, camera, stack.errors[ranked[0]], stack.cameras.select(ranked[:1]))
    chosen = ranked[: config.sources]
    swept = plane_sweep(
        depth,
        camera,
        [_photo(stack, index) for index in chosen],
        stack.cameras.select(chosen),
        config.sweep,
        masks=[_usable(stack, index) for index in chosen],
        device=renderer.device,
    )
    return NovelView(
        camera=camera,
        rgb=rgb,
        depth=depth,
        alpha=alpha,
        confidence=confidence(
            alpha,
            predicted_error(
                nearest=np.abs(nearest - rgb).mean(2),
                second=np.abs(second - rgb).mean(2),
                training=error[:, :, 0],
                residual=(residual.rgb[:, :, 0] / residual.alpha.clamp_min(1e-6)).cpu().numpy(),
                swept=np.abs(_mean_photo(swept) - rgb).mean(2),
            ),
        ),
        nearest=stack.cameras.names[ranked[0]],
        warped=nearest,
        warped_valid=seen.per_pixel[order[0]],
        sources=tuple(stack.cameras.names[index] for index in chosen),
        swept=swept,
        surface=meet_surface(swept.depth, camera, stack, chosen),
    )


def _render(
    gaussians: Gaussians, cameras: Cameras, index: int, device: Device
) -> tuple[Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Colour, and depth and alpha without the background, whose depth is arbitrary."""
    rgb = render(gaussians, cameras, index, device=device).rgb
    scene = render(gaussians.foreground, cameras, index, with_depth=True, device=device)
    assert scene.depth is not None
    alpha = scene.alpha.cpu().numpy()
    depth = scene.depth.cpu().numpy()
    shown = alpha > 0
    rest = np.median(depth[shown]) if shown.any() else 1.0
    return (
        rgb.clamp(0, 1).cpu().numpy(),
        np.where(shown, depth, np.float32(rest)),
        alpha,
    )


def _mean_photo(swept: Swept) -> Float32[np.ndarray, "h w 3"]:
    """Mean of the photos warped by the swept depth, each with half the weight of the one before.

    The nearest is most like the view: halving orders errors better than equal weights.
    """
    shares = np.float32(0.5) ** np.arange(len(swept.warped), dtype=np.float32)
    weights = shares[:, None, None] * (swept.valid + np.float32(UNSEEN_WEIGHT))
    total = np.einsum("khw,khwc->hwc", weights, swept.warped)
    return np.asarray(total / weights.sum(0)[:, :, None])


def _usable(stack: PhotoStack, index: int) -> Bool[np.ndarray, "h w"]:
    width, height = stack.cameras.size(index)
    return stack.usable[index, :height, :width]


def _photo(stack: PhotoStack, index: int) -> Float32[np.ndarray, "h w 3"]:
    width, height = stack.cameras.size(index)
    return from_uint8(stack.photos[index, :height, :width])


def _moved(gaussians: Gaussians, device: Device) -> Gaussians:
    return Gaussians(
        means=gaussians.means.to(device),
        quats=gaussians.quats.to(device),
        log_scales=gaussians.log_scales.to(device),
        logit_opacities=gaussians.logit_opacities.to(device),
        sh=gaussians.sh.to(device),
        num_background=gaussians.num_background,
    )


def renderer_of(
    sparse: Sparse, splat: ArrayHandle, *, context: Context = Context()
) -> ViewRenderer:
    """The renderer of a stored splat, with its training photos at the size of its fit.

    Args:
        sparse: the reconstruction that the splat was fitted to.
    """
    training = sparse.cameras.indices_of(splat.attributes["training"])
    return prepare(
        read_gaussians(splat),
        sparse.cameras.select(training),
        (sparse.photos[index] for index in training),
        longest_edge=splat.attributes["longest_edge"],
        masks=(sparse.masks[index] for index in training),
        context=context,
    )
