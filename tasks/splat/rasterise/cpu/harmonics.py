"""Real spherical harmonics up to degree 3: colours of Gaussians by viewing direction.

The basis, its order and its signs are those of the PLY files everyone reads: coefficient
``l * l + l + m`` belongs to degree l and order m, with the Condon-Shortley phase. Constants:
Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2(2), 2013, written out as polynomials of a
unit vector.

A Gaussian has 3 numbers, RGB, for each coefficient. Those of degree 0 may lie in an array of their
own, as they do while a splat is fitted: hence two flat arrays, which are one and the same where
all coefficients lie together, and a :class:`ShLayout`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from numba import float32

from tasks.runtime.jit import inlined
from tasks.splat.rasterise.cpu.matrices import Vector3

_Y0 = np.float32(0.28209479177387814)  # 1/2 sqrt(1/pi)
_Y1 = np.float32(0.4886025119029199)  # 1/2 sqrt(3/pi)
_Y2_XY = np.float32(1.0925484305920792)  # 1/2 sqrt(15/pi); xy, yz and xz
_Y2_ZZ = np.float32(0.31539156525252005)  # 1/4 sqrt(5/pi)
_Y2_XX = np.float32(0.5462742152960396)  # 1/4 sqrt(15/pi)
_Y3_3 = np.float32(0.5900435899266435)  # 1/4 sqrt(35/(2 pi)); orders -3 and 3
_Y3_XYZ = np.float32(2.890611442640554)  # 1/2 sqrt(105/pi)
_Y3_1 = np.float32(0.4570457994644658)  # 1/4 sqrt(21/(2 pi)); orders -1 and 1
_Y3_ZZZ = np.float32(0.3731763325901154)  # 1/4 sqrt(7/pi)
_Y3_XX = np.float32(1.445305721320277)  # 1/4 sqrt(105/pi)


class ShLayout(NamedTuple):
    """Where the numbers of Gaussian n lie: three from ``n * stride`` of the first array on for
    degree 0, and ``rest`` from ``n * rest_stride + rest_start`` of the second on for the others."""

    stride: int
    rest_stride: int
    rest_start: int
    rest: int


def sh_layout(together: int, apart: int) -> ShLayout:
    """For ``together`` coefficients in the first array; where more than 0 are ``apart`` in the
    second, the first must hold 1."""
    if apart:
        return ShLayout(stride=3, rest_stride=3 * apart, rest_start=0, rest=3 * apart)
    floats = 3 * together
    return ShLayout(stride=floats, rest_stride=floats, rest_start=3, rest=floats - 3)


@inlined
def _add(
    sum: Vector3, factor: float | np.float32, values: Float32[np.ndarray, " floats"], i: int
) -> Vector3:
    """``sum + factor values[i:i + 3]``."""
    return Vector3(
        sum.x + factor * values[i], sum.y + factor * values[i + 1], sum.z + factor * values[i + 2]
    )


@inlined
def _put(
    values: Float32[np.ndarray, " floats"], i: int, factor: float | np.float32, v: Vector3
) -> None:
    """``values[i:i + 3] = factor v``."""
    values[i] = factor * v.x
    values[i + 1] = factor * v.y
    values[i + 2] = factor * v.z


@inlined
def _product(v: Vector3, values: Float32[np.ndarray, " floats"], i: int) -> float:
    """``v . values[i:i + 3]``."""
    return v.x * values[i] + v.y * values[i + 1] + v.z * values[i + 2]


@inlined
def evaluate(
    sh: Float32[np.ndarray, " floats"],
    sh_rest: Float32[np.ndarray, " rest_floats"],
    n: int,
    layout: ShLayout,
    degree: int,
    direction: Vector3,
) -> Vector3:
    """``sum_k Y_k(direction) sh[n, k]``, RGB; the direction is a unit vector."""
    x = direction.x
    y = direction.y
    z = direction.z
    first = n * layout.stride
    colour = Vector3(_Y0 * sh[first], _Y0 * sh[first + 1], _Y0 * sh[first + 2])
    i = n * layout.rest_stride + layout.rest_start
    if degree > 0:
        colour = _add(colour, -_Y1 * y, sh_rest, i)
        colour = _add(colour, _Y1 * z, sh_rest, i + 3)
        colour = _add(colour, -_Y1 * x, sh_rest, i + 6)
    if degree > 1:
        xx = x * x
        yy = y * y
        zz = z * z
        two = float32(2)
        colour = _add(colour, _Y2_XY * x * y, sh_rest, i + 9)
        colour = _add(colour, -_Y2_XY * y * z, sh_rest, i + 12)
        colour = _add(colour, _Y2_ZZ * (two * zz - xx - yy), sh_rest, i + 15)
        colour = _add(colour, -_Y2_XY * x * z, sh_rest, i + 18)
        colour = _add(colour, _Y2_XX * (xx - yy), sh_rest, i + 21)
    if degree > 2:
        xx = x * x
        yy = y * y
        zz = z * z
        two = float32(2)
        three = float32(3)
        four = float32(4)
        colour = _add(colour, -_Y3_3 * y * (three * xx - yy), sh_rest, i + 24)
        colour = _add(colour, _Y3_XYZ * x * y * z, sh_rest, i + 27)
        colour = _add(colour, -_Y3_1 * y * (four * zz - xx - yy), sh_rest, i + 30)
        colour = _add(colour, _Y3_ZZZ * z * (two * zz - three * xx - three * yy), sh_rest, i + 33)
        colour = _add(colour, -_Y3_1 * x * (four * zz - xx - yy), sh_rest, i + 36)
        colour = _add(colour, _Y3_XX * z * (xx - yy), sh_rest, i + 39)
        colour = _add(colour, -_Y3_3 * x * (xx - three * yy), sh_rest, i + 42)
    return colour


@inlined
def evaluate_backward(
    sh_rest: Float32[np.ndarray, " rest_floats"],
    n: int,
    layout: ShLayout,
    degree: int,
    direction: Vector3,
    grad: Vector3,
    grad_sh: Float32[np.ndarray, " floats"],
    grad_sh_rest: Float32[np.ndarray, " rest_floats"],
) -> Vector3:
    """Backward of :func:`evaluate`, from the gradient by the colour.

    Writes the gradients by the Gaussian's coefficients up to the degree in use and returns the
    gradient by the direction, as if its three components were free.
    """
    x = direction.x
    y = direction.y
    z = direction.z
    grad_x = float32(0)
    grad_y = float32(0)
    grad_z = float32(0)
    _put(grad_sh, n * layout.stride, _Y0, grad)
    i = n * layout.rest_stride + layout.rest_start
    if degree > 0:
        _put(grad_sh_rest, i, -_Y1 * y, grad)
        _put(grad_sh_rest, i + 3, _Y1 * z, grad)
        _put(grad_sh_rest, i + 6, -_Y1 * x, grad)
        # From here on g_k is the gradient by Y_k, less a constant: the channels share the rest.
        grad_x -= _Y1 * _product(grad, sh_rest, i + 6)
        grad_y -= _Y1 * _product(grad, sh_rest, i)
        grad_z += _Y1 * _product(grad, sh_rest, i + 3)
    if degree > 1:
        xx = x * x
        yy = y * y
        zz = z * z
        two = float32(2)
        _put(grad_sh_rest, i + 9, _Y2_XY * x * y, grad)
        _put(grad_sh_rest, i + 12, -_Y2_XY * y * z, grad)
        _put(grad_sh_rest, i + 15, _Y2_ZZ * (two * zz - xx - yy), grad)
        _put(grad_sh_rest, i + 18, -_Y2_XY * x * z, grad)
        _put(grad_sh_rest, i + 21, _Y2_XX * (xx - yy), grad)
        g4 = _Y2_XY * _product(grad, sh_rest, i + 9)
        g5 = -_Y2_XY * _product(grad, sh_rest, i + 12)
        g6 = two * _Y2_ZZ * _product(grad, sh_rest, i + 15)
        g7 = -_Y2_XY * _product(grad, sh_rest, i + 18)
        g8 = two * _Y2_XX * _product(grad, sh_rest, i + 21)
        grad_x += g4 * y - g6 * x + g7 * z + g8 * x
        grad_y += g4 * x + g5 * z - g6 * y - g8 * y
        grad_z += g5 * y + two * g6 * z + g7 * x
    if degree > 2:
        xx = x * x
        yy = y * y
        zz = z * z
        two = float32(2)
        three = float32(3)
        four = float32(4)
        six = float32(6)
        eight = float32(8)
        _put(grad_sh_rest, i + 24, -_Y3_3 * y * (three * xx - yy), grad)
        _put(grad_sh_rest, i + 27, _Y3_XYZ * x * y * z, grad)
        _put(grad_sh_rest, i + 30, -_Y3_1 * y * (four * zz - xx - yy), grad)
        _put(grad_sh_rest, i + 33, _Y3_ZZZ * z * (two * zz - three * xx - three * yy), grad)
        _put(grad_sh_rest, i + 36, -_Y3_1 * x * (four * zz - xx - yy), grad)
        _put(grad_sh_rest, i + 39, _Y3_XX * z * (xx - yy), grad)
        _put(grad_sh_rest, i + 42, -_Y3_3 * x * (xx - three * yy), grad)
        g9 = -_Y3_3 * _product(grad, sh_rest, i + 24)
        g10 = _Y3_XYZ * _product(grad, sh_rest, i + 27)
        g11 = -_Y3_1 * _product(grad, sh_rest, i + 30)
        g12 = _Y3_ZZZ * _product(grad, sh_rest, i + 33)
        g13 = -_Y3_1 * _product(grad, sh_rest, i + 36)
        g14 = _Y3_XX * _product(grad, sh_rest, i + 39)
        g15 = -_Y3_3 * _product(grad, sh_rest, i + 42)
        grad_x += (
            g9 * six * x * y
            + g10 * y * z
            - g11 * two * x * y
            - g12 * six * x * z
            + g13 * (four * zz - three * xx - yy)
            + g14 * two * x * z
            + g15 * three * (xx - yy)
        )
        grad_y += (
            g9 * three * (xx - yy)
            + g10 * x * z
            + g11 * (four * zz - xx - three * yy)
            - g12 * six * y * z
            - g13 * two * x * y
            - g14 * two * y * z
            - g15 * six * x * y
        )
        grad_z += (
            g10 * x * y
            + g11 * eight * y * z
            + g12 * (six * zz - three * xx - three * yy)
            + g13 * eight * x * z
            + g14 * (xx - yy)
        )
    return Vector3(grad_x, grad_y, grad_z)
