"""Small matrices for kernels: named tuples of scalars, which LLVM keeps in registers."""

from typing import NamedTuple

from tasks.runtime.jit import inlined


class Vector3(NamedTuple):
    x: float
    y: float
    z: float


class Matrix3(NamedTuple):
    """Rows, then columns."""

    m00: float
    m01: float
    m02: float
    m10: float
    m11: float
    m12: float
    m20: float
    m21: float
    m22: float


class Matrix23(NamedTuple):
    """Two rows of three columns."""

    m00: float
    m01: float
    m02: float
    m10: float
    m11: float
    m12: float


@inlined
def cross(a: Vector3, b: Vector3) -> Vector3:
    """``a x b``."""
    return Vector3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)


@inlined
def dot(a: Vector3, b: Vector3) -> float:
    return a.x * b.x + a.y * b.y + a.z * b.z


@inlined
def apply(a: Matrix3, v: Vector3) -> Vector3:
    """``a v``."""
    return Vector3(
        a.m00 * v.x + a.m01 * v.y + a.m02 * v.z,
        a.m10 * v.x + a.m11 * v.y + a.m12 * v.z,
        a.m20 * v.x + a.m21 * v.y + a.m22 * v.z,
    )


@inlined
def apply_transposed(a: Matrix3, v: Vector3) -> Vector3:
    """``a^T v``."""
    return Vector3(
        a.m00 * v.x + a.m10 * v.y + a.m20 * v.z,
        a.m01 * v.x + a.m11 * v.y + a.m21 * v.z,
        a.m02 * v.x + a.m12 * v.y + a.m22 * v.z,
    )


@inlined
def multiply(a: Matrix23, b: Matrix3) -> Matrix23:
    """``a b``."""
    return Matrix23(
        a.m00 * b.m00 + a.m01 * b.m10 + a.m02 * b.m20,
        a.m00 * b.m01 + a.m01 * b.m11 + a.m02 * b.m21,
        a.m00 * b.m02 + a.m01 * b.m12 + a.m02 * b.m22,
        a.m10 * b.m00 + a.m11 * b.m10 + a.m12 * b.m20,
        a.m10 * b.m01 + a.m11 * b.m11 + a.m12 * b.m21,
        a.m10 * b.m02 + a.m11 * b.m12 + a.m12 * b.m22,
    )


@inlined
def multiply_transposed(a: Matrix23, b: Matrix3) -> Matrix23:
    """``a b^T``."""
    return Matrix23(
        a.m00 * b.m00 + a.m01 * b.m01 + a.m02 * b.m02,
        a.m00 * b.m10 + a.m01 * b.m11 + a.m02 * b.m12,
        a.m00 * b.m20 + a.m01 * b.m21 + a.m02 * b.m22,
        a.m10 * b.m00 + a.m11 * b.m01 + a.m12 * b.m02,
        a.m10 * b.m10 + a.m11 * b.m11 + a.m12 * b.m12,
        a.m10 * b.m20 + a.m11 * b.m21 + a.m12 * b.m22,
    )


@inlined
def transposed_multiply(a: Matrix23, b: Matrix23) -> Matrix3:
    """``a^T b``."""
    return Matrix3(
        a.m00 * b.m00 + a.m10 * b.m10,
        a.m00 * b.m01 + a.m10 * b.m11,
        a.m00 * b.m02 + a.m10 * b.m12,
        a.m01 * b.m00 + a.m11 * b.m10,
        a.m01 * b.m01 + a.m11 * b.m11,
        a.m01 * b.m02 + a.m11 * b.m12,
        a.m02 * b.m00 + a.m12 * b.m10,
        a.m02 * b.m01 + a.m12 * b.m11,
        a.m02 * b.m02 + a.m12 * b.m12,
    )


@inlined
def scale_columns(a: Matrix23, s: Vector3) -> Matrix23:
    """``a diag(s)``."""
    return Matrix23(a.m00 * s.x, a.m01 * s.y, a.m02 * s.z, a.m10 * s.x, a.m11 * s.y, a.m12 * s.z)
