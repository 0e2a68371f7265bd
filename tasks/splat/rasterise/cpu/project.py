"""Projection of Gaussians into one camera, and its gradient.

EWA splatting (Zwicker et al., IEEE TVCG 8(3), 2002, sec. 4): with the rotation W from world to
camera, the Jacobian J of the perspective projection at the mean, and the Gaussian's axes
``R diag(s)``, its 2D covariance is

    C = U U^T + blur I,    U = J W R diag(s),

so forward and backward need the 2x3 matrix U and never the 3D covariance. Antialiased, opacity is
multiplied with ``sqrt(det(U U^T) / det C)``; by Cauchy and Binet that numerator is the squared
cross product of U's rows, which does not cancel for thin Gaussians. The bounds (radii, limits of
the Jacobian, near plane) are those of ``gsplat.rasterization``.

J holds only near the mean and fails where a Gaussian reaches the plane through the camera: one on
the ground beside the photographer's feet would veil the whole image. Gaussians whose mean is nearer
to that plane than their own standard deviation across it are not drawn.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from numba import float32, int32, prange

from tasks.runtime.jit import inlined, parallel_kernel
from tasks.splat.rasterise.cpu.harmonics import ShLayout, evaluate, evaluate_backward
from tasks.splat.rasterise.cpu.layout import (
    BLUE,
    CONIC_DET,
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    CUTOFF,
    DEPTH,
    GRAD_BLUE,
    GRAD_DEPTH,
    GRAD_GREEN,
    GRAD_RED,
    GREEN,
    MEAN_X,
    MEAN_Y,
    OPACITY,
    RED,
    SUM_M,
    SUM_M_DX,
    SUM_M_DX_DX,
    SUM_M_DX_DY,
    SUM_M_DY,
    SUM_M_DY_DY,
    Camera,
    Projection,
    SplatArrays,
    SplatGradients,
)
from tasks.splat.rasterise.cpu.matrices import (
    Matrix3,
    Matrix23,
    Vector3,
    apply,
    apply_transposed,
    cross,
    dot,
    multiply,
    multiply_transposed,
    scale_columns,
    transposed_multiply,
)
from tasks.splat.rasterise.cpu.tiles import tile_at, tiles_along

NEAR = np.float32(0.01)  # world units
FAR = np.float32(1e10)
BLUR = np.float32(0.3)
"""Added to the diagonal of the 2D covariance, square pixels: nothing is thinner than a pixel."""
MIN_ALPHA = np.float32(1 / 255)
_MAX_SIGMAS = np.float32(3.33)
_MAX_RADIUS = np.float32(1e9)  # pixels; keeps the conversion to int32 defined
_HUGE = np.float32(3e38)
_MARGIN = np.float32(0.15)  # of the image's size: 0.3 of the tangent of half the field of view


class Quaternion(NamedTuple):
    w: float
    x: float
    y: float
    z: float


class Limits(NamedTuple):
    """Bounds of ``x / z`` and ``y / z`` for the Jacobian: linearised further out, a Gaussian at the
    side of a wide camera would smear across the image."""

    left: float
    right: float
    top: float
    bottom: float


@inlined
def _limits(pinhole: Float32[np.ndarray, "4"], width: int, height: int) -> Limits:
    fx = pinhole[0]
    fy = pinhole[1]
    cx = pinhole[2]
    cy = pinhole[3]
    width_px = float32(width)
    height_px = float32(height)
    return Limits(
        -(cx + _MARGIN * width_px) / fx,
        (width_px - cx + _MARGIN * width_px) / fx,
        -(cy + _MARGIN * height_px) / fy,
        (height_px - cy + _MARGIN * height_px) / fy,
    )


@inlined
def _variance_along(axis: Vector3, turned: Matrix3, scale: Vector3) -> float:
    """Variance of a Gaussian along a unit vector of the world frame."""
    own = apply_transposed(turned, axis)
    return (
        own.x * own.x * scale.x * scale.x
        + own.y * own.y * scale.y * scale.y
        + own.z * own.z * scale.z * scale.z
    )


@inlined
def _matrix(a: Float32[np.ndarray, "3 3"]) -> Matrix3:
    return Matrix3(a[0, 0], a[0, 1], a[0, 2], a[1, 0], a[1, 1], a[1, 2], a[2, 0], a[2, 1], a[2, 2])


@inlined
def _rotation(q: Quaternion) -> Matrix3:
    """Rotation matrix of a unit quaternion."""
    one = float32(1)
    two = float32(2)
    return Matrix3(
        one - two * (q.y * q.y + q.z * q.z),
        two * (q.x * q.y - q.w * q.z),
        two * (q.x * q.z + q.w * q.y),
        two * (q.x * q.y + q.w * q.z),
        one - two * (q.x * q.x + q.z * q.z),
        two * (q.y * q.z - q.w * q.x),
        two * (q.x * q.z - q.w * q.y),
        two * (q.y * q.z + q.w * q.x),
        one - two * (q.x * q.x + q.y * q.y),
    )


@inlined
def _rotation_backward(q: Quaternion, g: Matrix3) -> Quaternion:
    """Gradient by the quaternion before it was normalised, times its norm.

    That of the unit quaternion, less its part along the quaternion, which normalising removes.
    """
    two = float32(2)
    w = two * (q.x * (g.m21 - g.m12) + q.y * (g.m02 - g.m20) + q.z * (g.m10 - g.m01))
    x = two * (
        -two * q.x * (g.m11 + g.m22)
        + q.y * (g.m01 + g.m10)
        + q.z * (g.m02 + g.m20)
        + q.w * (g.m21 - g.m12)
    )
    y = two * (
        q.x * (g.m01 + g.m10)
        - two * q.y * (g.m00 + g.m22)
        + q.z * (g.m12 + g.m21)
        + q.w * (g.m02 - g.m20)
    )
    z = two * (
        q.x * (g.m02 + g.m20)
        + q.y * (g.m12 + g.m21)
        - two * q.z * (g.m00 + g.m11)
        + q.w * (g.m10 - g.m01)
    )
    along = w * q.w + x * q.x + y * q.y + z * q.z
    return Quaternion(w - along * q.w, x - along * q.x, y - along * q.y, z - along * q.z)


@inlined
def _jacobian(p: Vector3, fx: float, fy: float, limits: Limits) -> Matrix23:
    """Jacobian of the pixel position by the position in the camera frame, inside the limits."""
    zero = float32(0)
    rz = float32(1) / p.z
    x_over_z = min(limits.right, max(limits.left, p.x * rz))
    y_over_z = min(limits.bottom, max(limits.top, p.y * rz))
    return Matrix23(fx * rz, zero, -fx * x_over_z * rz, zero, fy * rz, -fy * y_over_z * rz)


@inlined
def _spread(axes: Matrix23) -> Vector3:
    """Cross product of the rows; its squared length is ``det(axes axes^T)``."""
    return cross(Vector3(axes.m00, axes.m01, axes.m02), Vector3(axes.m10, axes.m11, axes.m12))


@inlined
def _not_finite(probe: float) -> int:
    """1 for a NaN or an infinity; sums keep either, so one probe serves many numbers."""
    return 0 if abs(probe) <= _HUGE else 1


@parallel_kernel
def project(
    splat: SplatArrays,
    layout: ShLayout,
    camera: Camera,
    sh_degree: int,
    antialiased: bool,
    projection: Projection,
) -> int:
    """Fill ``projection``.

    Returns:
        The number of Gaussians found not to be finite; harmonics are checked in view only.
    """
    means, quats, scales, opacities, sh, sh_rest = splat
    rotation, translation, centre, pinhole, width, height = camera
    projected, radii, tile_counts = projection
    world_to_camera = _matrix(rotation)
    optical_axis = Vector3(world_to_camera.m20, world_to_camera.m21, world_to_camera.m22)
    t0 = translation[0]
    t1 = translation[1]
    t2 = translation[2]
    c0 = centre[0]
    c1 = centre[1]
    c2 = centre[2]
    fx = pinhole[0]
    fy = pinhole[1]
    cx = pinhole[2]
    cy = pinhole[3]
    limits = _limits(pinhole, width, height)
    width_px = float32(width)
    height_px = float32(height)
    columns = tiles_along(width)
    rows = tiles_along(height)
    one = float32(1)
    half = float32(0.5)
    zero = float32(0)
    broken = 0
    for n in prange(means.shape[0]):
        radii[n, 0] = 0
        radii[n, 1] = 0
        tile_counts[n] = 0
        mean = Vector3(means[n, 0], means[n, 1], means[n, 2])
        scale = Vector3(scales[n, 0], scales[n, 1], scales[n, 2])
        opacity = opacities[n]
        q = Quaternion(quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3])
        broken += _not_finite(
            mean.x + mean.y + mean.z + scale.x + scale.y + scale.z + opacity + q.w + q.x + q.y + q.z
        )
        rotated = apply(world_to_camera, mean)
        p = Vector3(rotated.x + t0, rotated.y + t1, rotated.z + t2)
        # Conditions are written so that a NaN fails them.
        if not (p.z >= NEAR and p.z <= FAR and opacity >= MIN_ALPHA):
            continue
        u = fx * p.x / p.z + cx
        v = fy * p.y / p.z + cy
        inverse_norm = one / math.sqrt(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z)
        unit = Quaternion(
            q.w * inverse_norm, q.x * inverse_norm, q.y * inverse_norm, q.z * inverse_norm
        )
        turned = _rotation(unit)
        if not p.z * p.z >= _variance_along(optical_axis, turned, scale):
            continue
        to_image = multiply(_jacobian(p, fx, fy, limits), world_to_camera)
        axes = scale_columns(multiply(to_image, turned), scale)
        cov_xx = axes.m00 * axes.m00 + axes.m01 * axes.m01 + axes.m02 * axes.m02 + BLUR
        cov_xy = axes.m00 * axes.m10 + axes.m01 * axes.m11 + axes.m02 * axes.m12
        cov_yy = axes.m10 * axes.m10 + axes.m11 * axes.m11 + axes.m12 * axes.m12 + BLUR
        det = cov_xx * cov_yy - cov_xy * cov_xy
        if not (det > zero and det <= _HUGE):
            continue
        if antialiased:
            spread = _spread(axes)
            opacity *= math.sqrt(dot(spread, spread) / det)
            if not opacity >= MIN_ALPHA:
                continue
        cutoff = max(math.log(opacity / MIN_ALPHA), zero)
        sigmas = min(_MAX_SIGMAS, float32(math.sqrt(float32(2) * cutoff)))
        # np.ceil, since numba's math.ceil gives an int64.
        radius_x = min(np.ceil(sigmas * math.sqrt(cov_xx)), _MAX_RADIUS)
        radius_y = min(np.ceil(sigmas * math.sqrt(cov_yy)), _MAX_RADIUS)
        if not (radius_x > zero and radius_y > zero):
            continue
        if not (
            u + radius_x > zero
            and u - radius_x < width_px
            and v + radius_y > zero
            and v - radius_y < height_px
        ):
            continue
        inverse_det = one / det
        projected[n, MEAN_X] = u
        projected[n, MEAN_Y] = v
        projected[n, CONIC_XX] = cov_yy * inverse_det
        projected[n, CONIC_XY] = -cov_xy * inverse_det
        projected[n, CONIC_YY] = cov_xx * inverse_det
        projected[n, OPACITY] = opacity
        projected[n, DEPTH] = p.z
        projected[n, CUTOFF] = cutoff
        projected[n, CONIC_DET] = inverse_det
        radii[n, 0] = int32(radius_x)
        radii[n, 1] = int32(radius_y)
        first_column = tile_at(u - radius_x, width_px, columns)
        last_column = tile_at(u + radius_x, width_px, columns)
        first_row = tile_at(v - radius_y, height_px, rows)
        last_row = tile_at(v + radius_y, height_px, rows)
        tile_counts[n] = (last_column - first_column + 1) * (last_row - first_row + 1)

        dx = mean.x - c0
        dy = mean.y - c1
        dz = mean.z - c2
        inverse_distance = one / math.sqrt(dx * dx + dy * dy + dz * dz)
        direction = Vector3(dx * inverse_distance, dy * inverse_distance, dz * inverse_distance)
        colour = evaluate(sh, sh_rest, n, layout, sh_degree, direction)
        projected[n, RED] = max(colour.x + half, zero)
        projected[n, GREEN] = max(colour.y + half, zero)
        projected[n, BLUE] = max(colour.z + half, zero)
        broken += _not_finite(colour.x + colour.y + colour.z)
    return broken


@parallel_kernel
def project_backward(
    splat: SplatArrays,
    layout: ShLayout,
    camera: Camera,
    sh_degree: int,
    antialiased: bool,
    projection: Projection,
    gradients: Float32[np.ndarray, "parts n 16"],
    by_splat: SplatGradients,
) -> None:
    """Backward of :func:`project`, from the sums over pixels that blending left (see layout).

    Every array of ``by_splat`` is written in full, with zeros for Gaussians out of view, except
    ``by_splat.camera``, which must hold zeros.
    """
    means, quats, scales, opacities, _, sh_rest = splat
    rotation, translation, centre, pinhole, width, height = camera
    projected, radii, _ = projection
    (
        grad_means,
        grad_quats,
        grad_scales,
        grad_opacities,
        grad_sh,
        grad_sh_rest,
        grad_means2d,
        grad_camera,
    ) = by_splat
    with_camera = grad_camera.shape[0] > 0
    world_to_camera = _matrix(rotation)
    t0 = translation[0]
    t1 = translation[1]
    t2 = translation[2]
    c0 = centre[0]
    c1 = centre[1]
    c2 = centre[2]
    fx = pinhole[0]
    fy = pinhole[1]
    limits = _limits(pinhole, width, height)
    one = float32(1)
    two = float32(2)
    half = float32(0.5)
    zero = float32(0)
    used = 3 * (sh_degree + 1) * (sh_degree + 1) - 3
    for n in prange(means.shape[0]):
        rest_start = n * layout.rest_stride + layout.rest_start
        if radii[n, 0] == 0:
            for axis in range(3):
                grad_means[n, axis] = zero
                grad_scales[n, axis] = zero
            for axis in range(4):
                grad_quats[n, axis] = zero
            for i in range(3):
                grad_sh[n * layout.stride + i] = zero
            for i in range(rest_start, rest_start + layout.rest):
                grad_sh_rest[i] = zero
            grad_opacities[n] = zero
            grad_means2d[n, 0] = zero
            grad_means2d[n, 1] = zero
            continue

        sum_m = zero
        sum_m_dx = zero
        sum_m_dy = zero
        sum_m_dx_dx = zero
        sum_m_dx_dy = zero
        sum_m_dy_dy = zero
        grad_red = zero
        grad_green = zero
        grad_blue = zero
        grad_depth = zero
        for part in range(gradients.shape[0]):
            sum_m += gradients[part, n, SUM_M]
            sum_m_dx += gradients[part, n, SUM_M_DX]
            sum_m_dx_dx += gradients[part, n, SUM_M_DX_DX]
            sum_m_dy += gradients[part, n, SUM_M_DY]
            sum_m_dx_dy += gradients[part, n, SUM_M_DX_DY]
            sum_m_dy_dy += gradients[part, n, SUM_M_DY_DY]
            grad_red += gradients[part, n, GRAD_RED]
            grad_green += gradients[part, n, GRAD_GREEN]
            grad_blue += gradients[part, n, GRAD_BLUE]
            grad_depth += gradients[part, n, GRAD_DEPTH]

        # ln alpha = ln opacity - (xx dx^2 + 2 xy dx dy + yy dy^2) / 2
        conic_xx = projected[n, CONIC_XX]
        conic_xy = projected[n, CONIC_XY]
        conic_yy = projected[n, CONIC_YY]
        grad_opacities[n] = sum_m / opacities[n]
        grad_u = -(conic_xx * sum_m_dx + conic_xy * sum_m_dy)
        grad_v = -(conic_xy * sum_m_dx + conic_yy * sum_m_dy)
        grad_means2d[n, 0] = grad_u
        grad_means2d[n, 1] = grad_v
        # The gradient by the symmetric conic as a full matrix: [[-dxdx, -dxdy], [., -dydy]] / 2.
        grad_conic_xx = -half * sum_m_dx_dx
        grad_conic_xy = -half * sum_m_dx_dy
        grad_conic_yy = -half * sum_m_dy_dy
        # d(C^-1) = -C^-1 dC C^-1
        a00 = conic_xx * grad_conic_xx + conic_xy * grad_conic_xy
        a01 = conic_xx * grad_conic_xy + conic_xy * grad_conic_yy
        a10 = conic_xy * grad_conic_xx + conic_yy * grad_conic_xy
        a11 = conic_xy * grad_conic_xy + conic_yy * grad_conic_yy
        grad_cov_xx = -(a00 * conic_xx + a01 * conic_xy)
        grad_cov_xy = -(a00 * conic_xy + a01 * conic_yy)
        grad_cov_yy = -(a10 * conic_xy + a11 * conic_yy)
        if antialiased:
            # ln alpha holds -(ln det C) / 2, whose gradient by C is -C^-1 / 2.
            grad_cov_xx -= half * sum_m * conic_xx
            grad_cov_xy -= half * sum_m * conic_xy
            grad_cov_yy -= half * sum_m * conic_yy

        # The forward pass once more: cheaper than to store it.
        mean = Vector3(means[n, 0], means[n, 1], means[n, 2])
        scale = Vector3(scales[n, 0], scales[n, 1], scales[n, 2])
        rotated = apply(world_to_camera, mean)
        p = Vector3(rotated.x + t0, rotated.y + t1, rotated.z + t2)
        q = Quaternion(quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3])
        inverse_norm = one / math.sqrt(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z)
        unit = Quaternion(
            q.w * inverse_norm, q.x * inverse_norm, q.y * inverse_norm, q.z * inverse_norm
        )
        world_from_axes = _rotation(unit)
        jacobian = _jacobian(p, fx, fy, limits)
        to_image = multiply(jacobian, world_to_camera)
        unscaled = multiply(to_image, world_from_axes)
        axes = scale_columns(unscaled, scale)

        # C = U U^T + blur I, so dL/dU = 2 dL/dC U; U = unscaled diag(scale).
        grad_axes = Matrix23(
            two * (grad_cov_xx * axes.m00 + grad_cov_xy * axes.m10),
            two * (grad_cov_xx * axes.m01 + grad_cov_xy * axes.m11),
            two * (grad_cov_xx * axes.m02 + grad_cov_xy * axes.m12),
            two * (grad_cov_xy * axes.m00 + grad_cov_yy * axes.m10),
            two * (grad_cov_xy * axes.m01 + grad_cov_yy * axes.m11),
            two * (grad_cov_xy * axes.m02 + grad_cov_yy * axes.m12),
        )
        if antialiased:
            # And (ln |a x b|^2) / 2 for the rows a and b of U: its gradients by them are b x s and
            # s x a over s^2 for s = a x b, which is not 0 where the Gaussian is in view.
            spread = _spread(axes)
            share = sum_m / dot(spread, spread)
            by_a = cross(Vector3(axes.m10, axes.m11, axes.m12), spread)
            by_b = cross(spread, Vector3(axes.m00, axes.m01, axes.m02))
            grad_axes = Matrix23(
                grad_axes.m00 + share * by_a.x,
                grad_axes.m01 + share * by_a.y,
                grad_axes.m02 + share * by_a.z,
                grad_axes.m10 + share * by_b.x,
                grad_axes.m11 + share * by_b.y,
                grad_axes.m12 + share * by_b.z,
            )
        grad_scales[n, 0] = grad_axes.m00 * unscaled.m00 + grad_axes.m10 * unscaled.m10
        grad_scales[n, 1] = grad_axes.m01 * unscaled.m01 + grad_axes.m11 * unscaled.m11
        grad_scales[n, 2] = grad_axes.m02 * unscaled.m02 + grad_axes.m12 * unscaled.m12
        grad_unscaled = scale_columns(grad_axes, scale)
        grad_q = _rotation_backward(unit, transposed_multiply(to_image, grad_unscaled))
        grad_quats[n, 0] = grad_q.w * inverse_norm
        grad_quats[n, 1] = grad_q.x * inverse_norm
        grad_quats[n, 2] = grad_q.y * inverse_norm
        grad_quats[n, 3] = grad_q.z * inverse_norm
        grad_to_image = multiply_transposed(grad_unscaled, world_from_axes)
        grad_jacobian = multiply_transposed(grad_to_image, world_to_camera)

        # Jacobian [[fx/z, 0, -fx x/z^2], [0, fy/z, -fy y/z^2]]; where x/z stops at a limit l, its
        # last entry is -fx l/z, which does not depend on x.
        rz = one / p.z
        x_over_z = p.x * rz
        y_over_z = p.y * rz
        grad_x = fx * rz * grad_u
        grad_y = fy * rz * grad_v
        grad_z = (
            grad_depth
            - (fx * x_over_z * grad_u + fy * y_over_z * grad_v) * rz
            - (fx * grad_jacobian.m00 + fy * grad_jacobian.m11) * rz * rz
        )
        if x_over_z >= limits.left and x_over_z <= limits.right:
            grad_x -= fx * rz * rz * grad_jacobian.m02
            grad_z -= two * jacobian.m02 * rz * grad_jacobian.m02
        else:
            grad_z -= jacobian.m02 * rz * grad_jacobian.m02
        if y_over_z >= limits.top and y_over_z <= limits.bottom:
            grad_y -= fy * rz * rz * grad_jacobian.m12
            grad_z -= two * jacobian.m12 * rz * grad_jacobian.m12
        else:
            grad_z -= jacobian.m12 * rz * grad_jacobian.m12
        grad_mean = apply_transposed(world_to_camera, Vector3(grad_x, grad_y, grad_z))
        if with_camera:
            by_rotation = transposed_multiply(jacobian, grad_to_image)
            grad_camera[n, 0] = by_rotation.m00 + grad_x * mean.x
            grad_camera[n, 1] = by_rotation.m01 + grad_x * mean.y
            grad_camera[n, 2] = by_rotation.m02 + grad_x * mean.z
            grad_camera[n, 3] = by_rotation.m10 + grad_y * mean.x
            grad_camera[n, 4] = by_rotation.m11 + grad_y * mean.y
            grad_camera[n, 5] = by_rotation.m12 + grad_y * mean.z
            grad_camera[n, 6] = by_rotation.m20 + grad_z * mean.x
            grad_camera[n, 7] = by_rotation.m21 + grad_z * mean.y
            grad_camera[n, 8] = by_rotation.m22 + grad_z * mean.z
            grad_camera[n, 9] = grad_x
            grad_camera[n, 10] = grad_y
            grad_camera[n, 11] = grad_z

        dx = mean.x - c0
        dy = mean.y - c1
        dz = mean.z - c2
        inverse_distance = one / math.sqrt(dx * dx + dy * dy + dz * dz)
        direction = Vector3(dx * inverse_distance, dy * inverse_distance, dz * inverse_distance)
        # Where the colour was clamped it has no gradient.
        grad_colour = Vector3(
            grad_red if projected[n, RED] > zero else zero,
            grad_green if projected[n, GREEN] > zero else zero,
            grad_blue if projected[n, BLUE] > zero else zero,
        )
        by_direction = evaluate_backward(
            sh_rest, n, layout, sh_degree, direction, grad_colour, grad_sh, grad_sh_rest
        )
        for i in range(rest_start + used, rest_start + layout.rest):
            grad_sh_rest[i] = zero
        along = dot(by_direction, direction)
        grad_means[n, 0] = grad_mean.x + (by_direction.x - along * direction.x) * inverse_distance
        grad_means[n, 1] = grad_mean.y + (by_direction.y - along * direction.y) * inverse_distance
        grad_means[n, 2] = grad_mean.z + (by_direction.z - along * direction.z) * inverse_distance
