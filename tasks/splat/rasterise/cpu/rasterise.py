"""The rasteriser for the CPU: numba kernels behind one differentiable torch function."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from tasks.errors import InputError
from tasks.splat.rasterise.cpu.blend import blend, blend_backward
from tasks.splat.rasterise.cpu.harmonics import ShLayout, sh_layout
from tasks.splat.rasterise.cpu.layout import (
    ABS_X,
    ABS_Y,
    GRADIENTS,
    PARTS,
    PROJECTED,
    Blended,
    Camera,
    Details,
    Projection,
    SplatArrays,
    SplatGradients,
    Tiles,
)
from tasks.splat.rasterise.cpu.project import project, project_backward
from tasks.splat.rasterise.cpu.tiles import bin_into_tiles, order_by_depth
from tasks.splat.rasterise.protocol import PinholeCameras, Rendering, RenderOptions, SplatTensors


def rasterise(splat: SplatTensors, cameras: PinholeCameras, options: RenderOptions) -> Rendering:
    """See :class:`tasks.splat.rasterise.protocol.Rasteriser`.

    Runs on ``numba.get_num_threads()`` threads, blending on at most :data:`PARTS`; any number gives
    the same bits.
    Fastest under ``torch.set_num_threads(1)``: after each operation torch's own threads spin for a
    while on the cores that the next kernel needs.
    The backward pass takes 512 bytes for each Gaussian.

    Raises:
        InputError: a Gaussian is not finite.
    """
    stack = cameras.as_stack()
    count = len(stack.camera_from_world)
    tensors = _tensors(splat)
    with_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    means2d = torch.zeros(count, len(splat.means), 2, requires_grad=with_gradient)
    absolute: Tensor | None = None
    if options.absgrad and with_gradient:
        # An attribute, as gsplat leaves it and its strategies read it.
        absolute = means2d.absgrad = torch.zeros_like(means2d)  # type: ignore[attr-defined]
    pose, background = stack.camera_from_world, stack.background_image
    images = [
        _Rasterise.apply(  # type: ignore[no-untyped-call]
            _ImageSpec(
                camera=_camera(stack, index),
                options=options,
                absolute=None if absolute is None else absolute[index].numpy(),
                threads=numba.get_num_threads(),
            ),
            own_means2d,
            pose[index] if isinstance(pose, Tensor) else None,
            None if background is None else background[index].contiguous(),
            *tensors,
        )
        for index, own_means2d in enumerate(torch.split(means2d, 1) if count > 1 else (means2d,))
    ]
    rgb, alpha, depth_sum, median_depth, weights, radii = (
        torch.stack(of_cameras) if cameras.is_stack else of_cameras[0]
        for of_cameras in zip(*images, strict=True)
    )
    return Rendering(
        rgb=rgb,
        alpha=alpha,
        # The bound is gsplat's; alpha is 0 or above 1/255.
        depth=depth_sum / alpha.clamp_min(1e-10) if options.with_depth else None,
        median_depth=median_depth if options.with_median_depth else None,
        weights=weights if options.with_weights else None,
        means2d=means2d,
        radii=radii if cameras.is_stack else radii[None],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ImageSpec:
    """Arguments of one image that get no gradient."""

    camera: Camera
    options: RenderOptions
    absolute: Float32[np.ndarray, "n 2"] | None
    """Where the backward pass writes ``absgrad``; None if not requested."""
    threads: int


class _Rasterise(torch.autograd.Function):
    """Gaussians to image, alpha, sum of w z, median depth, sums of w, and radii."""

    @staticmethod
    def forward(
        ctx: Any,
        spec: _ImageSpec,
        means2d: Tensor,
        pose: Tensor | None,
        background: Tensor | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        projection = _project(tensors, spec)
        tiles = _bin(projection, spec)
        image, details = _blend(projection, tiles, background, spec)
        rgb, depth_sum = torch.from_numpy(image.rgb), torch.from_numpy(image.depth_sum)
        radii = torch.from_numpy(projection.radii)
        median_depth = torch.from_numpy(details.median_depth)
        weights = torch.from_numpy(details.weights.sum(0))
        # Saved as torch's own, the image included, so that editing one in place is noticed.
        ctx.save_for_backward(*tensors, rgb)
        ctx.spec, ctx.projection, ctx.tiles, ctx.image = spec, projection, tiles, image
        ctx.pose_dtype = pose.dtype if pose is not None and pose.requires_grad else None
        ctx.background_ndim = (
            background.ndim if background is not None and background.requires_grad else None
        )
        ctx.mark_non_differentiable(median_depth, weights, radii)
        # Missing gradients arrive as None: zeros made by torch would set its threads spinning on
        # the cores that the kernel is about to use, which cost 20 ms of a backward pass.
        ctx.set_materialize_grads(False)
        alpha = torch.from_numpy(1 - image.transmittance)
        return rgb, alpha, depth_sum, median_depth, weights, radii

    @staticmethod
    def backward(
        ctx: Any,
        grad_rgb: Tensor | None,
        grad_alpha: Tensor | None,
        grad_depth_sum: Tensor | None,
        *_: None,
    ) -> tuple[Tensor | None, ...]:
        spec: _ImageSpec = ctx.spec
        image: Blended = ctx.image
        *tensors, _image = ctx.saved_tensors  # raises if one was edited in place
        by_image = Blended(
            rgb=_array(grad_rgb, image.rgb.shape),
            transmittance=_array(grad_alpha, image.transmittance.shape),
            depth_sum=_array(grad_depth_sum, image.depth_sum.shape),
        )
        pixel_sums = _blend_backward(ctx.projection, ctx.tiles, image, by_image, spec)
        with_camera = ctx.pose_dtype is not None
        gradients, by_splat = _project_backward(
            tensors, ctx.projection, pixel_sums, spec, with_camera
        )
        by_pose = None
        if with_camera:
            gradient = _gradient_by_pose(spec.camera, by_splat)
            by_pose = torch.from_numpy(gradient).to(ctx.pose_dtype)
        by_background = None
        if ctx.background_ndim is not None and grad_rgb is not None:
            by_pixel = torch.from_numpy(image.transmittance)[..., None] * grad_rgb
            by_background = by_pixel if ctx.background_ndim == 3 else by_pixel.sum((0, 1))
        by_means2d = torch.from_numpy(by_splat.means2d[None])
        return None, by_means2d, by_pose, by_background, *gradients


def _tensors(splat: SplatTensors) -> list[Tensor]:
    """The six tensors of a splat, contiguous and with harmonics as the kernels read them: degree 0
    in one array and the others in the next, or all in the first and the next empty."""
    sh, sh_rest = splat.sh, splat.sh_rest
    if sh_rest is None:
        sh_rest = sh.new_empty(len(sh), 0, 3)
    elif sh.shape[1] != 1:
        sh, sh_rest = torch.cat([sh, sh_rest], 1), sh.new_empty(len(sh), 0, 3)
    tensors = (splat.means, splat.quats, splat.scales, splat.opacities, sh, sh_rest)
    return [tensor.contiguous() for tensor in tensors]


def _arrays(tensors: Sequence[Tensor]) -> SplatArrays:
    """The memory of :func:`_tensors`, as the kernels take it."""
    means, quats, scales, opacities, sh, sh_rest = (tensor.detach().numpy() for tensor in tensors)
    rest = sh_rest if sh_rest.shape[1] else sh
    return SplatArrays(means, quats, scales, opacities, sh.reshape(-1), rest.reshape(-1))


def _layout(tensors: Sequence[Tensor]) -> ShLayout:
    *_, sh, sh_rest = tensors
    return sh_layout(sh.shape[1], sh_rest.shape[1])


def _camera(cameras: PinholeCameras, index: int) -> Camera:
    """Camera ``index`` of a stack."""
    camera_from_world = cameras.camera_from_world[index]
    if isinstance(camera_from_world, Tensor):
        camera_from_world = camera_from_world.detach().double().numpy()
    rotation = camera_from_world[:3, :3]
    translation = camera_from_world[:3, 3]
    pinhole = cameras.intrinsics[index][[0, 1, 0, 1], [0, 1, 2, 2]]
    return Camera(
        rotation=np.ascontiguousarray(rotation, np.float32),
        translation=np.ascontiguousarray(translation, np.float32),
        centre=(-rotation.T @ translation).astype(np.float32),
        pinhole=pinhole.astype(np.float32),
        width=cameras.width,
        height=cameras.height,
    )


def _project(tensors: Sequence[Tensor], spec: _ImageSpec) -> Projection:
    count = len(tensors[0])
    projection = Projection(
        projected=np.empty((count, PROJECTED), np.float32),
        radii=np.empty((count, 2), np.int32),
        tile_counts=np.empty(count, np.int32),
    )
    options = spec.options
    broken = project(
        _arrays(tensors),
        _layout(tensors),
        spec.camera,
        options.sh_degree,
        options.antialiased,
        projection,
    )
    if broken:
        _refuse_what_is_not_finite(tensors)
    return projection


def _bin(projection: Projection, spec: _ImageSpec) -> Tiles:
    """The Gaussians of each tile; what blending writes is undefined."""
    starts, members = bin_into_tiles(
        projection,
        order_by_depth(projection),
        spec.camera.width,
        spec.camera.height,
        spec.threads,
    )
    return Tiles(
        starts=starts,
        members=members,
        stops=np.empty(len(starts) - 1, np.int32),
        touched=np.empty(len(members), np.uint8),
    )


def _blend(
    projection: Projection, tiles: Tiles, background: Tensor | None, spec: _ImageSpec
) -> tuple[Blended, Details]:
    """The image of one camera, and the marks in ``tiles`` that its gradient needs."""
    options, shape = spec.options, (spec.camera.height, spec.camera.width)
    with_details = options.with_median_depth or options.with_weights
    image = Blended(
        rgb=np.empty((*shape, 3), np.float32),
        transmittance=np.empty(shape, np.float32),
        depth_sum=np.empty(shape if options.with_depth else (0, 0), np.float32),
    )
    gaussians = len(projection.radii) if with_details else 0
    details = Details(
        median_depth=np.empty(shape if with_details else (0, 0), np.float32),
        weights=np.empty((PARTS, gaussians), np.float32),
    )
    blend(projection.projected, tiles, _background_image(background), image, details)
    return image, details


def _blend_backward(
    projection: Projection, tiles: Tiles, image: Blended, by_image: Blended, spec: _ImageSpec
) -> Float32[np.ndarray, "parts n 16"]:
    """Sums over pixels that the gradient of the projection needs; also writes ``absgrad``."""
    pixel_sums = np.empty((PARTS, len(projection.radii), GRADIENTS), np.float32)
    with_absolute = spec.absolute is not None
    blend_backward(projection.projected, tiles, image, by_image, with_absolute, pixel_sums)
    if spec.absolute is not None:
        np.sum(pixel_sums[:, :, ABS_X : ABS_Y + 1], axis=0, out=spec.absolute)
    return pixel_sums


def _project_backward(
    tensors: Sequence[Tensor],
    projection: Projection,
    pixel_sums: Float32[np.ndarray, "parts n 16"],
    spec: _ImageSpec,
    with_camera: bool,
) -> tuple[list[Tensor], SplatGradients]:
    """Gradients by the tensors, and by all inputs in the same memory."""
    count, options = len(projection.radii), spec.options
    # By numpy, which requests huge pages: with small ones, filling 50 MB takes twice as long.
    gradients = [torch.from_numpy(np.empty_like(tensor.detach().numpy())) for tensor in tensors]
    by_splat = SplatGradients(
        *_arrays(gradients),
        means2d=np.empty((count, 2), np.float32),
        camera=np.zeros((count if with_camera else 0, 12), np.float32),
    )
    project_backward(
        _arrays(tensors),
        _layout(tensors),
        spec.camera,
        options.sh_degree,
        options.antialiased,
        projection,
        pixel_sums,
        by_splat,
    )
    return gradients, by_splat


def _background_image(background: Tensor | None) -> Float32[np.ndarray, "h_or_1 w_or_1 3"]:
    """One colour, or one for each pixel."""
    if background is None:
        return np.zeros((1, 1, 3), np.float32)
    colours = background.detach().numpy()
    return colours if colours.ndim == 3 else colours[None, None]


def _gradient_by_pose(camera: Camera, by_splat: SplatGradients) -> Float64[np.ndarray, "4 4"]:
    """The gradient by ``camera_from_world`` from that of every Gaussian.

    The part of a mean's gradient that does not come from its position in the camera's frame comes
    through the viewing direction ``mean - centre``, so the centre ``-R^T t`` has the opposite.
    """
    sums = by_splat.camera.sum(0, dtype=np.float64)
    by_rotation, by_translation = sums[:9].reshape(3, 3), sums[9:]
    by_centre = camera.rotation.T @ by_translation - by_splat.means.sum(0, dtype=np.float64)
    gradient = np.zeros((4, 4))
    gradient[:3, :3] = by_rotation - np.outer(camera.translation, by_centre)
    gradient[:3, 3] = by_translation - camera.rotation @ by_centre
    return gradient


def _array(gradient: Tensor | None, shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
    return np.zeros(shape, np.float32) if gradient is None else gradient.contiguous().numpy()


def _refuse_what_is_not_finite(tensors: Sequence[Tensor]) -> None:
    """Raise for the first array with a NaN or an infinity, if there is one."""
    *others, sh, sh_rest = tensors
    names = ("means", "quats", "scales", "opacities", "sh")
    for name, tensor in zip(names, (*others, torch.cat([sh, sh_rest], 1)), strict=True):
        bad = ~torch.isfinite(tensor.reshape(len(tensor), -1)).all(1)
        if bad.any():
            raise InputError(
                f"{name} of {int(bad.sum())} of {len(tensor)} Gaussians are not finite (the first "
                f"is number {int(bad.nonzero()[0])}), so they cannot be drawn; lower the learning "
                "rate that drove them there, or read the splat from an intact file"
            )
