"""Refinement by a network where it predicts an improvement."""

import torch
from torch import Tensor

from tasks.refine.cpu.arrays import run
from tasks.refine.cpu.kernels import blend
from tasks.refine.photos.align import align_photos
from tasks.refine.photos.features import Features, features_of
from tasks.refine.refiner import Refinement, ViewBatch
from tasks.refine.residual.network import RefinedView, ResidualNetwork
from tasks.runtime.context import Context
from tasks.runtime.threads import torch_threads

SURE = 0.05
"""Decrease of the predicted log error from which the refined pixel is taken in full."""


def refine(
    network: ResidualNetwork,
    views: ViewBatch,
    *,
    tile_edge: int | None = None,
    context: Context = Context(),
) -> Refinement:
    """Refine views where the network predicts a smaller error than that of the render.

    Convolutions run in half precision on CUDA.

    Args:
        views: on the network's device.
        tile_edge: of the square tiles, px, for less memory; the result does not depend on it.
        context: its threads run the network's convolutions on the CPU.
    """
    with torch.inference_mode():
        photos = align_photos(views, network.config.reproject.detail_scale)
        features = features_of(views, network.config, photos)
        half = torch.autocast("cuda", torch.float16, enabled=views.render.is_cuda)
        with half, torch_threads(context.threads):
            found = network(features) if tile_edge is None else tiled(network, features, tile_edge)
        share = ((found.render_log_error - found.log_error) / SURE).clamp(0, 1)
        return Refinement(
            image=_taken(views.render, found.image.permute(0, 2, 3, 1), share),
            # 0 where nothing was refined: such pixels would hold a splat where it was rendered
            # from. Refined ones count as much as a photo's, however small the improvement.
            weight=share,
            photos=photos,
        )


def _taken(render: Tensor, image: Tensor, share: Tensor) -> Tensor:
    if not render.is_cpu:
        return torch.lerp(render, image.clamp(0, 1), share[..., None])
    result = render.new_empty(render.shape)
    run(blend, render, image, share, result)
    return result


def tiled(network: ResidualNetwork, features: Features, edge: int) -> RefinedView:
    """The network's output for whole views, tile by tile, each with the context it depends on."""
    height, width = features.maps.shape[-2:]
    step = max(1, edge // network.stride) * network.stride
    rows = [
        [
            _tile(network, features, slice(top, top + step), slice(left, left + step))
            for left in range(0, width, step)
        ]
        for top in range(0, height, step)
    ]

    def whole(name: str) -> Tensor:
        return torch.cat([torch.cat([getattr(t, name) for t in row], -1) for row in rows], -2)

    return RefinedView(
        image=whole("image"),
        log_error=whole("log_error"),
        render_log_error=whole("render_log_error"),
    )


def _tile(network: ResidualNetwork, features: Features, rows: slice, columns: slice) -> RefinedView:
    top, left = (max(0, side.start - network.reach) for side in (rows, columns))
    bottom, right = rows.stop + network.reach, columns.stop + network.reach
    found = network(features.map(lambda planes: planes[..., top:bottom, left:right]))
    inner = (
        ...,
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    return RefinedView(
        image=found.image[inner],
        log_error=found.log_error[inner],
        render_log_error=found.render_log_error[inner],
    )
