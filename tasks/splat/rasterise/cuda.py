"""gsplat's CUDA rasteriser behind our protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gsplat import (
    fully_fused_projection,
    isect_offset_encode,
    isect_tiles,
    rasterize_to_indices_in_range,
    rasterize_to_pixels,
    spherical_harmonics,
)
from jaxtyping import Bool, Float32, Int32, Int64
from torch import Tensor

from tasks.splat.rasterise.protocol import PinholeCameras, Rendering, RenderOptions, SplatTensors

TILE = 16
"""Edge of a tile, pixels."""


def rasterise(splat: SplatTensors, cameras: PinholeCameras, options: RenderOptions) -> Rendering:
    """See :class:`tasks.splat.rasterise.protocol.Rasteriser`; all tensors on one device.

    The steps of ``gsplat.rasterization``, which takes one opacity of a Gaussian for all cameras of
    a stack, so that it could only leave out of all images what reaches the plane of one camera.

    The median depth, which gsplat does not render, takes temporarily some 50 bytes for each
    Gaussian drawn in a pixel.

    Raises:
        ValueError: the median depth or weights are requested together with ``packed``.
    """
    if options.packed and (options.with_median_depth or options.with_weights):
        raise ValueError("median depth and weights need projections that are not packed")
    stack = cameras.as_stack()

    def on_device(array: np.ndarray | Tensor) -> Tensor:
        return torch.as_tensor(array).to(splat.means.device, torch.float32)

    def as_given(tensor: Tensor) -> Tensor:
        return tensor if cameras.is_stack else tensor[0]

    poses = on_device(stack.camera_from_world)
    projected = _project(splat, poses, on_device(stack.intrinsics), stack, options)
    tiles = _bin(projected, stack)
    image, alpha = _blend(projected, tiles, stack, options)
    rgb = image[..., :3]
    if stack.background_image is not None:
        # Not by the kernel: it takes one colour, and, packed, none.
        background = on_device(stack.background_image)
        colours = background[:, None, None] if background.ndim == 2 else background
        rgb = rgb + (1 - alpha) * colours
    means2d = projected.means2d
    if means2d.requires_grad:
        means2d.retain_grad()
    return Rendering(
        rgb=as_given(rgb),
        alpha=as_given(alpha[..., 0]),
        # The bound is gsplat's; alpha is 0 or above 1/255.
        depth=as_given(image[..., 3] / alpha[..., 0].clamp_min(1e-10))
        if options.with_depth
        else None,
        median_depth=as_given(_median_depth(projected, tiles, stack))
        if options.with_median_depth
        else None,
        weights=as_given(_weights(projected, tiles, stack)) if options.with_weights else None,
        means2d=means2d,
        radii=projected.radii,
        gaussians=projected.gaussians,
    )


@torch.no_grad()
def in_front(
    splat: SplatTensors, camera_from_world: Float32[Tensor, "c 4 4"]
) -> Bool[Tensor, "c n"]:
    """Whether each Gaussian lies before the plane of each camera by its standard deviation.

    gsplat does not check it.
    """
    means = splat.means
    axis = camera_from_world[:, 2, :3]
    depths = axis @ means.T + camera_from_world[:, 2, 3:]
    # The axis turned into each Gaussian's own frame: by the inverse of its unit quaternion.
    unit = torch.nn.functional.normalize(splat.quats, dim=-1)[None]
    w, v = unit[..., :1], -unit[..., 1:]
    across = 2 * torch.linalg.cross(v, axis[:, None].expand(-1, len(means), -1))
    own = axis[:, None] + w * across + torch.linalg.cross(v.expand_as(across), across)
    return depths >= (own * splat.scales).norm(dim=-1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Projected:
    """Gaussians as cameras see them: a row for each, or, packed, for each in view of each camera.

    Rows of Gaussians that are not in view hold anything.
    """

    radii: Int32[Tensor, "*rows 2"]
    means2d: Float32[Tensor, "*rows 2"]
    depths: Float32[Tensor, "*rows"]
    conics: Float32[Tensor, "*rows 3"]
    opacities: Float32[Tensor, "*rows"]
    colours: Float32[Tensor, "*rows 3"]
    cameras: Int64[Tensor, " m"] | None = None
    """The camera of each row, if packed."""
    gaussians: Int64[Tensor, " m"] | None = None
    """The Gaussian of each row, if packed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tiles:
    """The Gaussians of each tile, nearest first."""

    offsets: Int32[Tensor, "c rows columns"]
    rows: Int32[Tensor, " entries"]
    """Of the projections, flattened."""


def _project(
    splat: SplatTensors,
    poses: Float32[Tensor, "c 4 4"],
    intrinsics: Float32[Tensor, "c 3 3"],
    stack: PinholeCameras,
    options: RenderOptions,
) -> _Projected:
    """All cameras, one after the other, since each draws other Gaussians."""
    sh = splat.sh if splat.sh_rest is None else torch.cat([splat.sh, splat.sh_rest], 1)
    each = [
        _project_one(splat, sh, drawn, pose, lens, stack, options)
        for drawn, pose, lens in zip(in_front(splat, poses), poses, intrinsics, strict=True)
    ]

    def together(parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts)) if options.packed else torch.stack(list(parts))

    gaussians = [one.gaussians for one in each if one.gaussians is not None]
    cameras = [torch.full_like(rows, index) for index, rows in enumerate(gaussians)]
    return _Projected(
        radii=together([one.radii for one in each]),
        means2d=together([one.means2d for one in each]),
        depths=together([one.depths for one in each]),
        conics=together([one.conics for one in each]),
        opacities=together([one.opacities for one in each]),
        colours=together([one.colours for one in each]),
        cameras=torch.cat(cameras) if options.packed else None,
        gaussians=torch.cat(gaussians) if options.packed else None,
    )


def _project_one(
    splat: SplatTensors,
    sh: Float32[Tensor, "n k 3"],
    drawn: Bool[Tensor, " n"],
    pose: Float32[Tensor, "4 4"],
    intrinsics: Float32[Tensor, "3 3"],
    stack: PinholeCameras,
    options: RenderOptions,
) -> _Projected:
    """One camera.

    Args:
        drawn: Gaussians that may be drawn; the others get radii of 0 and no gradient.
    """
    *of_rows, radii, means2d, depths, conics, compensations = fully_fused_projection(
        splat.means,
        None,
        splat.quats,
        splat.scales,
        pose[None],
        intrinsics[None],
        stack.width,
        stack.height,
        packed=options.packed,
        calc_compensations=options.antialiased,
        # Their one effect is on the radii: what is transparent is left out.
        opacities=splat.opacities.detach() * drawn,
    )
    means, opacities, gaussians = splat.means, splat.opacities, None
    if options.packed:
        *_, gaussians = of_rows
        gaussians = gaussians.long()
        means, opacities, sh = means[gaussians], opacities[gaussians], sh[gaussians]
    else:
        radii, means2d, depths, conics = radii[0], means2d[0], depths[0], conics[0]
        compensations = None if compensations is None else compensations[0]
    centre = torch.linalg.inv(pose)[:3, 3]
    masks = (radii > 0).all(-1)
    harmonics = spherical_harmonics(options.sh_degree, means - centre, sh, masks=masks)
    return _Projected(
        radii=radii,
        means2d=means2d,
        depths=depths,
        conics=conics,
        opacities=opacities if compensations is None else opacities * compensations,
        colours=(harmonics + 0.5).clamp_min(0.0),
        gaussians=gaussians,
    )


@torch.no_grad()
def _bin(projected: _Projected, stack: PinholeCameras) -> _Tiles:
    columns, rows = -(-stack.width // TILE), -(-stack.height // TILE)
    cameras = len(stack.camera_from_world)
    _, entries, flattened = isect_tiles(
        projected.means2d,
        projected.radii,
        projected.depths,
        TILE,
        columns,
        rows,
        packed=projected.gaussians is not None,
        n_images=cameras,
        image_ids=projected.cameras,
        gaussian_ids=projected.gaussians,
    )
    offsets = isect_offset_encode(entries, cameras, columns, rows)
    return _Tiles(offsets=offsets.reshape(cameras, rows, columns), rows=flattened)


def _blend(
    projected: _Projected, tiles: _Tiles, stack: PinholeCameras, options: RenderOptions
) -> tuple[Float32[Tensor, "c h w channels"], Float32[Tensor, "c h w 1"]]:
    """Colour, the weighted sum of the depths where the depth is requested, and alpha."""
    colours = projected.colours
    if options.with_depth:
        colours = torch.cat([colours, projected.depths[..., None]], -1)
    image, alpha = rasterize_to_pixels(
        projected.means2d,
        projected.conics,
        colours,
        projected.opacities,
        stack.width,
        stack.height,
        TILE,
        tiles.offsets,
        tiles.rows,
        packed=options.packed,
        absgrad=options.absgrad,
    )
    return image, alpha


@torch.no_grad()
def _median_depth(
    projected: _Projected, tiles: _Tiles, stack: PinholeCameras
) -> Float32[Tensor, "c h w"]:
    width, height = stack.width, stack.height
    means2d, conics, opacities = projected.means2d, projected.conics, projected.opacities
    cameras, count = opacities.shape
    gaussian, pixel, camera = rasterize_to_indices_in_range(
        0,
        np.iinfo(np.int32).max,
        torch.ones(cameras, height, width, device=means2d.device),
        means2d,
        conics,
        opacities,
        width,
        height,
        TILE,
        tiles.offsets,
        tiles.rows,
    )
    member = camera * count + gaussian
    dx, dy = (
        means2d.reshape(-1, 2)[member] - torch.stack([pixel % width, pixel // width], 1) - 0.5
    ).unbind(1)
    xx, xy, yy = conics.reshape(-1, 3)[member].unbind(1)
    exponent = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    return median_of_lists(
        camera * (width * height) + pixel,
        (opacities.reshape(-1)[member] * torch.exp(-exponent)).clamp_max(0.999),
        projected.depths.reshape(-1)[member],
        cameras * width * height,
    ).reshape(cameras, height, width)


def _weights(projected: _Projected, tiles: _Tiles, stack: PinholeCameras) -> Float32[Tensor, "c n"]:
    """Summed blending weights of each camera's Gaussians.

    A pixel's colour is ``sum_g w_g c_g``, so they are the gradient of the summed image by c.
    """
    opacities = projected.opacities.detach()
    with torch.enable_grad():
        grey = torch.zeros_like(opacities)[..., None].requires_grad_()
        image, _ = rasterize_to_pixels(
            projected.means2d.detach(),
            projected.conics.detach(),
            grey,
            opacities,
            stack.width,
            stack.height,
            TILE,
            tiles.offsets,
            tiles.rows,
        )
        (weights,) = torch.autograd.grad(image.sum(), grey)
    return weights[..., 0]


def median_of_lists(
    pixels: Int64[Tensor, " m"],
    alphas: Float32[Tensor, " m"],
    depths: Float32[Tensor, " m"],
    count: int,
) -> Float32[Tensor, " count"]:
    """Median depth of each of ``count`` pixels, as ``Rendering.median_depth`` defines it.

    Args:
        pixels: index of the pixel in which an entry is drawn, ascending.
        alphas: its opacity there, in [0, 1).
        depths: world units, nearest first in each pixel.
        count: of pixels.
    """
    # ln T in front of and behind every entry, from one running sum over all pixels.
    absorbed = torch.log1p(-alphas.double())
    background_image = absorbed.cumsum(0)
    before = background_image - absorbed
    background_image, before = (
        sums - before[torch.searchsorted(pixels, pixels)] for sums in (background_image, before)
    )
    half = np.log(0.5)
    crossing = (before > half) & (background_image <= half)
    median = depths.new_zeros(count)
    median[pixels[crossing]] = depths[crossing]
    return median
