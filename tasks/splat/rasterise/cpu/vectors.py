"""Sixteen float32 lanes as one value, for code that numba's own vectoriser leaves scalar.

The blending loops branch, carry state and gather, so LLVM does not vectorise them by itself;
written with explicit ``<16 x float>`` values they run 10 times as fast (AVX-512; AVX2 splits
each vector in two). An intrinsic that uses these classes emits LLVM instructions while numba
compiles its caller: ``+`` here adds an instruction to the program, it adds no numbers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16
FLOAT = ir.FloatType()
INT = ir.IntType(32)
BYTE_POINTER = ir.IntType(8).as_pointer()
FLOATS = ir.VectorType(FLOAT, LANES)
INTS = ir.VectorType(INT, LANES)

# Those of the kernels' fastmath flags that matter between vectors: fused multiply-add, and
# division through a reciprocal. Reassociation is left to us.
_FLAGS = ("contract", "nsz", "arcp")

# Highest power first: least squares of the relative error at Chebyshev nodes of [-0.5, 0.5], where
# it stays below 8e-8, evaluated in float32 below 2.5e-7.
_EXP2 = (
    1.3266970387e-3,
    9.6754597456e-3,
    5.5507426160e-2,
    2.4022121754e-1,
    6.9314694916e-1,
    1.0000000710,
)
_EXPONENT_BIT = 23


class Vector:
    """Sixteen lanes with the operators of a number; other operands are constants in every lane."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def _lanes(self, other: "Vector | float") -> Any:
        return other.value if isinstance(other, Vector) else constant(other)

    def __add__(self, other: "Vector | float") -> "Vector":
        return Vector(self.builder, self.builder.fadd(self.value, self._lanes(other), flags=_FLAGS))

    def __sub__(self, other: "Vector | float") -> "Vector":
        return Vector(self.builder, self.builder.fsub(self.value, self._lanes(other), flags=_FLAGS))

    def __rsub__(self, other: float) -> "Vector":
        return Vector(self.builder, self.builder.fsub(constant(other), self.value, flags=_FLAGS))

    def __mul__(self, other: "Vector | float") -> "Vector":
        return Vector(self.builder, self.builder.fmul(self.value, self._lanes(other), flags=_FLAGS))

    def __truediv__(self, other: "Vector | float") -> "Vector":
        return Vector(self.builder, self.builder.fdiv(self.value, self._lanes(other), flags=_FLAGS))

    def compare(self, relation: str, other: "Vector | float") -> Any:
        """A mask, false in lanes that are not numbers; ``relation`` as in ``"<="``."""
        return self.builder.fcmp_ordered(relation, self.value, self._lanes(other))


def constant(number: float) -> Any:
    """The same float32 in every lane."""
    return ir.Constant(FLOATS, [float(np.float32(number))] * LANES)


def scalar(number: float) -> Any:
    return ir.Constant(FLOAT, float(np.float32(number)))


def lane_numbers(builder: Any) -> Vector:
    """0, 1, ... 15."""
    return Vector(builder, ir.Constant(FLOATS, [float(lane) for lane in range(LANES)]))


def broadcast(builder: Any, value: Any) -> Vector:
    """A scalar of the program in every lane."""
    undefined = ir.Constant(FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(INT, 0))
    lanes = builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * LANES))
    return Vector(builder, lanes)


def select(builder: Any, mask: Any, chosen: Vector | float, other: Vector | float) -> Vector:
    """``chosen`` in the lanes of the mask, ``other`` elsewhere."""
    lanes = [x.value if isinstance(x, Vector) else constant(x) for x in (chosen, other)]
    return Vector(builder, builder.select(mask, *lanes))


def absolute(builder: Any, vector: Vector) -> Vector:
    """The lanes without their sign bits."""
    without_sign = ir.Constant(INTS, [0x7FFFFFFF] * LANES)
    bits = builder.and_(builder.bitcast(vector.value, INTS), without_sign)
    return Vector(builder, builder.bitcast(bits, FLOATS))


def any_lane(builder: Any, mask: Any) -> Any:
    bits = ir.IntType(LANES)
    return builder.icmp_unsigned("!=", builder.bitcast(mask, bits), ir.Constant(bits, 0))


def exp2(builder: Any, exponent: Vector) -> Vector:
    """2 to the power of lanes in [-126, 0.5]; other lanes hold anything.

    The whole part goes into the exponent bits, a polynomial gives the rest.
    """
    # Rounds halves up for numbers below 0.5. The usual trick, adding and subtracting 1.5 * 2**23,
    # does not survive: numba's fastmath pass rewrites every float operation of the module.
    whole = builder.fptosi((exponent - 0.5).value, INTS)
    rest = exponent - Vector(builder, builder.sitofp(whole, FLOATS))
    power = rest * _EXP2[0] + _EXP2[1]
    for coefficient in _EXP2[2:]:
        power = power * rest + coefficient
    shift = builder.shl(whole, ir.Constant(INTS, [_EXPONENT_BIT] * LANES))
    bits = builder.add(builder.bitcast(power.value, INTS), shift)
    return Vector(builder, builder.bitcast(bits, FLOATS))


def sum_lanes(builder: Any, vectors: Sequence[Vector]) -> Vector:
    """The sum over the lanes of the k-th of at most 16 vectors, in lane k.

    A tree: each step puts two half-summed vectors side by side into one, 15 additions for all
    sixteen sums instead of 4 for each of them.
    """
    level = list(vectors)
    step = LANES // 2
    while step:
        if len(level) % 2:
            level.append(Vector(builder, constant(0.0)))
        level = [
            _fold(builder, first, second, step)
            for first, second in zip(level[::2], level[1::2], strict=True)
        ]
        step //= 2
    return level[0]


def _fold(builder: Any, first: Vector, second: Vector, step: int) -> Vector:
    """Add lanes ``step`` apart: the sums of ``first`` in the lower half, then ``second``'s."""
    both = range(2 * LANES)
    lower = [lane for lane in both if lane // step % 2 == 0]
    upper = [lane for lane in both if lane // step % 2 == 1]

    def gather(lanes: list[int]) -> Vector:
        indices = ir.Constant(INTS, lanes)
        return Vector(builder, builder.shuffle_vector(first.value, second.value, indices))

    return gather(lower) + gather(upper)


def data_pointer(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Address of an array's first element."""
    return context.make_array(array_type)(context, builder, array).data


def load(builder: Any, base: Any, index: Any) -> Vector:
    """Sixteen floats from ``base[index]`` on; no alignment needed."""
    address = builder.bitcast(builder.gep(base, [index]), FLOATS.as_pointer())
    return Vector(builder, builder.load(address, align=4))


def store(builder: Any, vector: Vector, base: Any, index: Any) -> None:
    address = builder.bitcast(builder.gep(base, [index]), FLOATS.as_pointer())
    builder.store(vector.value, address, align=4)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Start to load ``array``'s flat element ``index`` into the cache, to be read and written."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base = data_pointer(context, builder, signature.args[0], arguments[0])
        address = builder.bitcast(builder.gep(base, [arguments[1]]), BYTE_POINTER)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [BYTE_POINTER, INT, INT, INT]),
            "llvm.prefetch.p0",
        )
        for_writing, keep_in_all_levels, data = (ir.Constant(INT, number) for number in (1, 3, 1))
        builder.call(function, [address, for_writing, keep_in_all_levels, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
