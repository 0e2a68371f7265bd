"""Real spherical harmonics up to degree 3: colours of Gaussians by viewing direction.

The basis, its order and its signs are those of the PLY files everyone reads: coefficient
``l * l + l + m`` belongs to degree l and order m, with the Condon-Shortley phase. Constants:
Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2(2), 2013, written out as polynomials of a
unit vector.
"""

import numpy as np
from jaxtyping import Float32
from numba import float32

from tasks.jit import inlined
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


@inlined
def evaluate(
    sh: Float32[np.ndarray, "n k 3"], n: int, channel: int, degree: int, direction: Vector3
) -> float:
    """``sum_k Y_k(direction) sh[n, k, channel]``; the direction is a unit vector."""
    x = direction.x
    y = direction.y
    z = direction.z
    value = _Y0 * sh[n, 0, channel]
    if degree > 0:
        value += _Y1 * (-y * sh[n, 1, channel] + z * sh[n, 2, channel] - x * sh[n, 3, channel])
    if degree > 1:
        xx = x * x
        yy = y * y
        zz = z * z
        two = float32(2)
        value += (
            _Y2_XY * x * y * sh[n, 4, channel]
            - _Y2_XY * y * z * sh[n, 5, channel]
            + _Y2_ZZ * (two * zz - xx - yy) * sh[n, 6, channel]
            - _Y2_XY * x * z * sh[n, 7, channel]
            + _Y2_XX * (xx - yy) * sh[n, 8, channel]
        )
    if degree > 2:
        xx = x * x
        yy = y * y
        zz = z * z
        two = float32(2)
        three = float32(3)
        four = float32(4)
        value += (
            -_Y3_3 * y * (three * xx - yy) * sh[n, 9, channel]
            + _Y3_XYZ * x * y * z * sh[n, 10, channel]
            - _Y3_1 * y * (four * zz - xx - yy) * sh[n, 11, channel]
            + _Y3_ZZZ * z * (two * zz - three * xx - three * yy) * sh[n, 12, channel]
            - _Y3_1 * x * (four * zz - xx - yy) * sh[n, 13, channel]
            + _Y3_XX * z * (xx - yy) * sh[n, 14, channel]
            - _Y3_3 * x * (xx - three * yy) * sh[n, 15, channel]
        )
    return value


@inlined
def evaluate_backward(
    sh: Float32[np.ndarray, "n k 3"],
    n: int,
    channel: int,
    degree: int,
    direction: Vector3,
    grad: float,
    grad_sh: Float32[np.ndarray, "n k 3"],
) -> Vector3:
    """Backward of :func:`evaluate`.

    Writes ``grad_sh[n, :, channel]`` up to the degree in use and returns the gradient by the
    direction, as if its three components were free.
    """
    x = direction.x
    y = direction.y
    z = direction.z
    grad_x = float32(0)
    grad_y = float32(0)
    grad_z = float32(0)
    grad_sh[n, 0, channel] = _Y0 * grad
    if degree > 0:
        g = _Y1 * grad
        grad_sh[n, 1, channel] = -y * g
        grad_sh[n, 2, channel] = z * g
        grad_sh[n, 3, channel] = -x * g
        grad_x -= g * sh[n, 3, channel]
        grad_y -= g * sh[n, 1, channel]
        grad_z += g * sh[n, 2, channel]
    if degree > 1:
        xx = x * x
        yy = y * y
        zz = z * z
        two = float32(2)
        g4 = _Y2_XY * grad
        g5 = -_Y2_XY * grad
        g6 = _Y2_ZZ * grad
        g7 = -_Y2_XY * grad
        g8 = _Y2_XX * grad
        grad_sh[n, 4, channel] = g4 * x * y
        grad_sh[n, 5, channel] = g5 * y * z
        grad_sh[n, 6, channel] = g6 * (two * zz - xx - yy)
        grad_sh[n, 7, channel] = g7 * x * z
        grad_sh[n, 8, channel] = g8 * (xx - yy)
        g4 *= sh[n, 4, channel]
        g5 *= sh[n, 5, channel]
        g6 *= sh[n, 6, channel] * two
        g7 *= sh[n, 7, channel]
        g8 *= sh[n, 8, channel] * two
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
        g9 = -_Y3_3 * grad
        g10 = _Y3_XYZ * grad
        g11 = -_Y3_1 * grad
        g12 = _Y3_ZZZ * grad
        g13 = -_Y3_1 * grad
        g14 = _Y3_XX * grad
        g15 = -_Y3_3 * grad
        grad_sh[n, 9, channel] = g9 * y * (three * xx - yy)
        grad_sh[n, 10, channel] = g10 * x * y * z
        grad_sh[n, 11, channel] = g11 * y * (four * zz - xx - yy)
        grad_sh[n, 12, channel] = g12 * z * (two * zz - three * xx - three * yy)
        grad_sh[n, 13, channel] = g13 * x * (four * zz - xx - yy)
        grad_sh[n, 14, channel] = g14 * z * (xx - yy)
        grad_sh[n, 15, channel] = g15 * x * (xx - three * yy)
        g9 *= sh[n, 9, channel]
        g10 *= sh[n, 10, channel]
        g11 *= sh[n, 11, channel]
        g12 *= sh[n, 12, channel]
        g13 *= sh[n, 13, channel]
        g14 *= sh[n, 14, channel]
        g15 *= sh[n, 15, channel]
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
