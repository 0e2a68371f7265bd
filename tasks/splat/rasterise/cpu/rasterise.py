"""The rasteriser for the CPU: numba kernels behind one differentiable torch function."""

from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from tasks.errors import InputError
from tasks.splat.rasterise.cpu.blend import blend, blend_backward
from tasks.splat.rasterise.cpu.harmonics import ShLayout, sh_layout
from tasks.splat.rasterise.cpu.layout import ABS_X, ABS_Y, GRADIENTS, PROJECTED
from tasks.splat.rasterise.cpu.project import project, project_backward
from tasks.splat.rasterise.cpu.tiles import bin_into_tiles, order_by_depth
from tasks.splat.rasterise.protocol import Rendering


def rasterise(
    means: Float32[Tensor, "n 3"],
    quats: Float32[Tensor, "n 4"],
    scales: Float32[Tensor, "n 3"],
    opacities: Float32[Tensor, " n"],
    sh: Float32[Tensor, "n k 3"],
    *,
    sh_rest: Float32[Tensor, "n m 3"] | None = None,
    camera_from_world: Float64[np.ndarray, "*c 4 4"] | Float[Tensor, "*c 4 4"],
    intrinsics: Float64[np.ndarray, "*c 3 3"],
    width: int,
    height: int,
    sh_degree: int,
    background: Float32[Tensor, "*c 3"] | Float32[Tensor, "*c h w 3"] | None = None,
    antialiased: bool = False,
    absgrad: bool = False,
    with_depth: bool = False,
    with_median_depth: bool = False,
    with_weights: bool = False,
    packed: bool = False,
) -> Rendering:
    """See :class:`tasks.splat.rasterise.protocol.Rasteriser`.

    Runs on ``numba.get_num_threads()`` threads; the same number gives the same bits every time.
    Fastest under ``torch.set_num_threads(1)``: after each operation torch's own threads spin for a
    while on the cores that the next kernel wants.
    The backward pass takes 64 bytes for each thread and Gaussian.

    Raises:
        InputError: a Gaussian is not finite.
    """
    stacked = camera_from_world.ndim == 3
    if not stacked:
        camera_from_world, intrinsics = camera_from_world[None], intrinsics[None]
        background = None if background is None else background[None]
    cameras = len(camera_from_world)
    if isinstance(camera_from_world, Tensor):
        poses, differentiable = camera_from_world.detach().double().numpy(), camera_from_world
    else:
        poses, differentiable = camera_from_world, None
    if sh_rest is None:
        sh_rest = sh.new_empty(len(sh), 0, 3)
    elif sh.shape[1] != 1:  # the kernels look for degree 0 in one array, for the others in the next
        sh, sh_rest = torch.cat([sh, sh_rest], 1), sh.new_empty(len(sh), 0, 3)
    gaussians = [tensor.contiguous() for tensor in (means, quats, scales, opacities, sh, sh_rest)]
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in gaussians)
    means2d = torch.zeros(cameras, len(means), 2, requires_grad=wanted)
    absolute: Tensor | None = None
    if absgrad and wanted:
        # An attribute, as gsplat leaves it and its strategies read it.
        absolute = means2d.absgrad = torch.zeros_like(means2d)  # type: ignore[attr-defined]
    images = [
        _Rasterise.apply(  # type: ignore[no-untyped-call]
            *gaussians,
            own_means2d,
            None if differentiable is None else differentiable[i],
            None if background is None else background[i].contiguous(),
            _camera(poses[i], intrinsics[i], width, height),
            sh_degree,
            antialiased,
            None if absolute is None else absolute[i].numpy(),
            with_depth,
            with_median_depth or with_weights,
        )
        for i, own_means2d in enumerate(torch.split(means2d, 1) if cameras > 1 else (means2d,))
    ]
    rgb, alpha, depth_sum, median_depth, weights, radii = (
        torch.stack(of_cameras) if stacked else of_cameras[0]
        for of_cameras in zip(*images, strict=True)
    )
    return Rendering(
        rgb=rgb,
        alpha=alpha,
        # The bound is gsplat's; alpha is 0 or above 1/255.
        depth=depth_sum / alpha.clamp_min(1e-10) if with_depth else None,
        median_depth=median_depth if with_median_depth else None,
        weights=weights if with_weights else None,
        means2d=means2d,
        radii=radii if stacked else radii[None],
    )


class _Camera(NamedTuple):
    """A pinhole camera in float32, in the order in which the kernels take it."""

    rotation: Float32[np.ndarray, "3 3"]
    translation: Float32[np.ndarray, "3"]
    centre: Float32[np.ndarray, "3"]
    pinhole: Float32[np.ndarray, "4"]
    """fx, fy, cx, cy, pixels."""
    width: int
    height: int


def _camera(
    camera_from_world: Float64[np.ndarray, "4 4"],
    intrinsics: Float64[np.ndarray, "3 3"],
    width: int,
    height: int,
) -> _Camera:
    rotation = camera_from_world[:3, :3]
    translation = camera_from_world[:3, 3]
    pinhole = intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    return _Camera(
        rotation=np.ascontiguousarray(rotation, np.float32),
        translation=np.ascontiguousarray(translation, np.float32),
        centre=(-rotation.T @ translation).astype(np.float32),
        pinhole=pinhole.astype(np.float32),
        width=width,
        height=height,
    )


class _Rasterise(torch.autograd.Function):
    """Gaussians to image, alpha, sum of w z, median depth, sums of w, and radii."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        sh: Tensor,
        sh_rest: Tensor,
        means2d: Tensor,
        pose: Tensor | None,
        background: Tensor | None,
        camera: _Camera,
        sh_degree: int,
        antialiased: bool,
        absolute: Float32[np.ndarray, "n 2"] | None,
        with_depth: bool,
        with_details: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        threads = numba.get_num_threads()
        count = len(means)
        projected = np.empty((count, PROJECTED), np.float32)
        radii = np.empty((count, 2), np.int32)
        tile_counts = np.empty(count, np.int32)
        own_sh, own_rest, layout = _coefficients(sh, sh_rest)
        broken = project(
            means.detach().numpy(),
            quats.detach().numpy(),
            scales.detach().numpy(),
            opacities.detach().numpy(),
            own_sh,
            own_rest,
            layout,
            sh_degree,
            antialiased,
            *camera,
            projected,
            radii,
            tile_counts,
        )
        if broken:
            _refuse_what_is_not_finite(
                means=means,
                quats=quats,
                scales=scales,
                opacities=opacities,
                sh=torch.cat([sh, sh_rest], 1),
            )
        starts, members = bin_into_tiles(
            projected,
            radii,
            tile_counts,
            order_by_depth(projected, tile_counts),
            camera.width,
            camera.height,
            threads,
        )
        shape = (camera.height, camera.width)
        rgb = np.empty((*shape, 3), np.float32)
        transmittance = np.empty(shape, np.float32)
        depth_sum = np.empty(shape if with_depth else (0, 0), np.float32)
        median_depth = np.empty(shape if with_details else (0, 0), np.float32)
        weights = np.empty((threads, count if with_details else 0), np.float32)
        stops = np.empty(len(starts) - 1, np.int32)
        touched = np.empty(len(members), np.uint8)
        blend(
            projected,
            starts,
            members,
            _picture(background),
            with_depth,
            with_details,
            threads,
            rgb,
            transmittance,
            depth_sum,
            median_depth,
            weights,
            stops,
            touched,
        )
        image = torch.from_numpy(rgb)
        extents = torch.from_numpy(radii)
        details = (torch.from_numpy(median_depth), torch.from_numpy(weights.sum(0)))
        # Saved as torch's own, the image included, so that editing one in place is noticed.
        ctx.save_for_backward(means, quats, scales, opacities, sh, sh_rest, image)
        ctx.camera, ctx.sh_degree, ctx.antialiased = camera, sh_degree, antialiased
        ctx.pose_dtype = pose.dtype if pose is not None and pose.requires_grad else None
        ctx.with_background = background is not None and background.requires_grad
        ctx.background_is_picture = background is not None and background.ndim == 3
        ctx.absolute, ctx.with_depth, ctx.threads = absolute, with_depth, threads
        ctx.projected, ctx.radii = projected, radii
        ctx.starts, ctx.members, ctx.stops, ctx.touched = starts, members, stops, touched
        ctx.transmittance, ctx.depth_sum = transmittance, depth_sum
        ctx.mark_non_differentiable(*details, extents)
        # Missing gradients arrive as None: zeros made by torch would set its threads spinning on
        # the cores that the kernel is about to use, which cost 20 ms of a backward pass.
        ctx.set_materialize_grads(False)
        return (
            image,
            torch.from_numpy(1 - transmittance),
            torch.from_numpy(depth_sum),
            *details,
            extents,
        )

    @staticmethod
    def backward(
        ctx: Any,
        grad_rgb: Tensor | None,
        grad_alpha: Tensor | None,
        grad_depth_sum: Tensor | None,
        *_: None,
    ) -> tuple[Tensor | None, ...]:
        camera: _Camera = ctx.camera
        *gaussians, sh, sh_rest, image = (tensor.detach() for tensor in ctx.saved_tensors)
        means, quats, scales, opacities = (tensor.numpy() for tensor in gaussians)
        rgb = image.numpy()
        count = len(means)
        gradients = np.empty((ctx.threads, count, GRADIENTS), np.float32)
        blend_backward(
            ctx.projected,
            ctx.starts,
            ctx.members,
            ctx.stops,
            ctx.touched,
            ctx.with_depth,
            ctx.absolute is not None,
            rgb,
            ctx.transmittance,
            ctx.depth_sum,
            _array(grad_rgb, rgb.shape),
            _array(grad_alpha, ctx.transmittance.shape),
            _array(grad_depth_sum, ctx.depth_sum.shape),
            gradients,
        )
        if ctx.absolute is not None:
            np.sum(gradients[:, :, ABS_X : ABS_Y + 1], axis=0, out=ctx.absolute)
        grad_means, grad_quats, grad_scales = (np.empty_like(a) for a in (means, quats, scales))
        grad_opacities = np.empty(count, np.float32)
        # By numpy, which asks for huge pages: with small ones, filling 50 MB takes twice as long.
        grad_sh, grad_sh_rest = (torch.from_numpy(np.empty_like(a.numpy())) for a in (sh, sh_rest))
        grad_means2d = np.empty((count, 2), np.float32)
        with_camera = ctx.pose_dtype is not None
        grad_camera = np.zeros((count if with_camera else 0, 12), np.float32)
        own_sh, own_rest, layout = _coefficients(sh, sh_rest)
        own_grad_sh, own_grad_rest = _coefficients(grad_sh, grad_sh_rest)[:2]
        project_backward(
            means,
            quats,
            scales,
            opacities,
            own_sh,
            own_rest,
            layout,
            ctx.sh_degree,
            ctx.antialiased,
            *camera,
            ctx.projected,
            ctx.radii,
            gradients,
            with_camera,
            grad_means,
            grad_quats,
            grad_scales,
            grad_opacities,
            own_grad_sh,
            own_grad_rest,
            grad_means2d,
            grad_camera,
        )
        grad_pose = None
        if with_camera:
            by_pose = _gradient_by_pose(camera, grad_camera, grad_means)
            grad_pose = torch.from_numpy(by_pose).to(ctx.pose_dtype)
        grad_background = None
        if ctx.with_background and grad_rgb is not None:
            left = torch.from_numpy(ctx.transmittance)[..., None] * grad_rgb
            grad_background = left if ctx.background_is_picture else left.sum((0, 1))
        by_input = (grad_means, grad_quats, grad_scales, grad_opacities)
        return (
            *(torch.from_numpy(grad) for grad in by_input),
            grad_sh,
            grad_sh_rest,
            torch.from_numpy(grad_means2d[None]),
            grad_pose,
            grad_background,
            None,
            None,
            None,
            None,
            None,
            None,
        )


def _picture(background: Tensor | None) -> Float32[np.ndarray, "h_or_1 w_or_1 3"]:
    """One colour, or one each pixel."""
    if background is None:
        return np.zeros((1, 1, 3), np.float32)
    colours = background.detach().numpy()
    return colours if colours.ndim == 3 else colours[None, None]


def _coefficients(
    sh: Float32[Tensor, "n k 3"], sh_rest: Float32[Tensor, "n m 3"]
) -> tuple[Float32[np.ndarray, " floats"], Float32[np.ndarray, " rest_floats"], ShLayout]:
    """As the kernels take them; with m = 0 all lie in ``sh``."""
    layout = sh_layout(sh.shape[1], sh_rest.shape[1])
    first = sh.detach().numpy().reshape(-1)
    return first, sh_rest.detach().numpy().reshape(-1) if sh_rest.shape[1] else first, layout


def _gradient_by_pose(
    camera: _Camera,
    grad_camera: Float32[np.ndarray, "n 12"],
    grad_means: Float32[np.ndarray, "n 3"],
) -> Float64[np.ndarray, "4 4"]:
    """The gradient by ``camera_from_world`` from that of every Gaussian.

    What a mean's gradient holds beyond its position in the camera's frame came through the viewing
    direction ``mean - centre``, so the centre ``-R^T t`` has the opposite.
    """
    sums = grad_camera.sum(0, dtype=np.float64)
    by_rotation, by_translation = sums[:9].reshape(3, 3), sums[9:]
    by_centre = camera.rotation.T @ by_translation - grad_means.sum(0, dtype=np.float64)
    gradient = np.zeros((4, 4))
    gradient[:3, :3] = by_rotation - np.outer(camera.translation, by_centre)
    gradient[:3, 3] = by_translation - camera.rotation @ by_centre
    return gradient


def _array(gradient: Tensor | None, shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
    return np.zeros(shape, np.float32) if gradient is None else gradient.contiguous().numpy()


def _refuse_what_is_not_finite(**gaussians: Tensor) -> None:
    """Raise for the first array with a NaN or an infinity, if there is one."""
    for name, tensor in gaussians.items():
        bad = ~torch.isfinite(tensor.reshape(len(tensor), -1)).all(1)
        if bad.any():
            raise InputError(
                f"{name} of {int(bad.sum())} of {len(tensor)} Gaussians are not finite (the first "
                f"is number {int(bad.nonzero()[0])}), so they cannot be drawn; lower the learning "
                "rate that drove them there, or read the splat from an intact file"
            )
