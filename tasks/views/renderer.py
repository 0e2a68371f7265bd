"""Looking at a splat from anywhere, knowing its training photos."""

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
from tasks.images import fitted_sizes, from_levels, levels, resized, resized_mask
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
"""Photos that a view is compared with: the nearest ones. Others hardly ever see it better."""
UNSEEN_WEIGHT = 1e-3
"""Of a photo where it does not show the pixel: counts only where no photo does."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NovelView:
    """What a splat shows from a place without a photo, and what the photos say of it."""

    camera: Cameras
    """One, of the size of the view."""
    rgb: Float32[np.ndarray, "h w 3"]
    """The render, in [0, 1]."""
    depth: Float32[np.ndarray, "h w"]
    """Expected depth along the optical axis, world units; positive: where the view is empty
    (alpha 0) it is the median of the rest."""
    alpha: Float32[np.ndarray, "h w"]
    """Share of the light that the scene stops, the backdrop aside."""
    confidence: Float32[np.ndarray, "h w"]
    """In [0, 1]; see :mod:`tasks.views.confidence`."""
    nearest: str
    """The photo that shows most of the view from nearly the same side."""
    warped: Float32[np.ndarray, "h w 3"]
    """That photo, warped into the view by the rendered depth."""
    warped_valid: Float32[np.ndarray, "h w"]
    """How surely it shows the pixel's point, in [0, 1]."""
    sources: tuple[str, ...]
    """The best photos, ``nearest`` first."""
    swept: Swept
    """What a plane sweep over ``sources`` found, in their order."""
    surface: Surface
    """How the points at the swept depth lie to the splat as ``sources`` see it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewRenderer:
    """A splat with what is worked out once for all views; see :func:`prepare`."""

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
    """Render the training photos once, and find how well each Gaussian fits them.

    Args:
        cameras: of the training photos, at least two.
        photos: the training photos, in the order of ``cameras``; taken one at a time.
        longest_edge: of the photos as they are compared with views, pixels.
        masks: of the photos; False on pixels that are not to be used.
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
        error = np.abs(rgb - from_levels(photo)).mean(2)
        errors[inside] = levels(error)[:, :, None]
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
    """Look at the splat.

    Args:
        camera: one, of the size of the view.
    """
    stack = renderer.stack
    rgb, depth, alpha = _render(renderer.gaussians, camera, 0, renderer.device)
    residual = render(renderer.residuals, camera, 0, device=renderer.device)
    distance = pose_distances(camera, stack.cameras, spacing=renderer.spacing)[0]
    candidates = np.argsort(distance, kind="stable")[:CANDIDATES].tolist()
    seen = visibility(depth, camera, stack, candidates)
    # Stable: photos that see equally much stay in the order of their distance.
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
    """Colour, and depth and alpha without the backdrop, which nobody saw to be there."""
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
    """Of the photos warped by the swept depth, each counting half as much as the one before.

    The nearest shows most nearly what the view does: halving orders errors better than equals.
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
    return from_levels(stack.photos[index, :height, :width])


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
