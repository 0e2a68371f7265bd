"""Ray casting of convex solids: affine images of the unit cube, ball and cylinder.

A ray is transformed into the frame where its solid is the unit shape. The transform is affine and
keeps the ray parameter, so depth is exact, and a solid needs one matrix and one of three
intersection tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float64, Int64

from tasks.procedural.materials import Material, linear_rgb
from tasks.procedural.noise import kernel
from tasks.runtime.jit import compiled


class Shape(IntEnum):
    BOX = 0  # |x|, |y|, |z| <= 1
    BALL = 1  # x^2 + y^2 + z^2 <= 1
    CYLINDER = 2  # x^2 + y^2 <= 1, |z| <= 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solid:
    """A unit shape, scaled to ``half_size``, rotated, and translated to ``centre``."""

    shape: Shape
    centre: Float64[np.ndarray, "3"]
    """World frame, metres."""
    half_size: Float64[np.ndarray, "3"]
    """Along the solid's own axes, metres."""
    world_from_solid: Float64[np.ndarray, "3 3"]
    """Rotation."""
    material: Material
    least_texels: int = 4
    """Minimum texels of indirect light along a side of a face; 1 is enough for a leaf."""
    texture: int | None = None
    """Solids of equal material and size that share this have equal textures; None = one of its
    own."""


class Solids(NamedTuple):
    """Solids as arrays, for kernels, in the leaf order of a bounding volume hierarchy."""

    shape: Int64[np.ndarray, " n"]
    unit_from_world: Float64[np.ndarray, "n 3 4"]
    half_size: Float64[np.ndarray, "n 3"]
    pattern: Int64[np.ndarray, " n"]
    scale_m: Float64[np.ndarray, " n"]
    colours: Float64[np.ndarray, "n 3 3"]
    """Linear RGB, three per material."""
    gloss: Float64[np.ndarray, " n"]
    seed: Int64[np.ndarray, " n"]
    least_texels: Int64[np.ndarray, " n"]
    node_lower: Float64[np.ndarray, "m 3"]
    node_upper: Float64[np.ndarray, "m 3"]
    node_skip: Int64[np.ndarray, " m"]
    """Next node after a miss; nodes are in depth-first order."""
    node_solid: Int64[np.ndarray, " m"]
    """The solid of a leaf, -1 for an inner node."""


def pack(solids: Sequence[Solid], *, texture_seed: int = 1) -> Solids:
    """Arrays and hierarchy of ``solids``; a texture's seed combines ``texture_seed`` and the index
    of the solid, or its ``texture`` where it has one."""
    unit_from_world = np.empty((len(solids), 3, 4))
    lower, upper = np.empty((len(solids), 3)), np.empty((len(solids), 3))
    for i, solid in enumerate(solids):
        linear = solid.world_from_solid.T / solid.half_size[:, None]
        unit_from_world[i] = np.column_stack([linear, -linear @ solid.centre])
        reach = np.abs(solid.world_from_solid) @ solid.half_size  # half size of the bounding box
        lower[i], upper[i] = solid.centre - reach, solid.centre + reach

    nodes = 2 * len(solids) - 1
    node_lower, node_upper = np.empty((nodes, 3)), np.empty((nodes, 3))
    node_skip, node_solid = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    _grow(lower, upper, node_lower, node_upper, node_skip, node_solid)
    materials = [solid.material for solid in solids]
    textures = [i if solid.texture is None else solid.texture for i, solid in enumerate(solids)]
    return Solids(
        shape=np.array([int(solid.shape) for solid in solids]),
        unit_from_world=unit_from_world,
        half_size=np.array([solid.half_size for solid in solids]),
        pattern=np.array([int(m.pattern) for m in materials]),
        scale_m=np.array([m.scale_m for m in materials]),
        colours=np.array([[linear_rgb(c) for c in m.colours] for m in materials]),
        gloss=np.array([m.gloss for m in materials]),
        seed=np.array(textures) * 101 + texture_seed,
        least_texels=np.array([solid.least_texels for solid in solids]),
        node_lower=node_lower,
        node_upper=node_upper,
        node_skip=node_skip,
        node_solid=node_solid,
    )


@compiled()
@no_type_check
def _grow(lower, upper, node_lower, node_upper, node_skip, node_solid):
    """Build the hierarchy over boxes, depth first; a subtree of n leaves takes 2 n - 1 nodes."""
    order = np.arange(lower.shape[0])
    starts, ends = [0], [lower.shape[0]]
    node = 0
    while len(starts) > 0:
        start, end = starts.pop(), ends.pop()
        members = order[start:end].copy()
        for axis in range(3):
            node_lower[node, axis] = lower[members, axis].min()
            node_upper[node, axis] = upper[members, axis].max()
        node_skip[node] = node + 2 * (end - start) - 1
        node_solid[node] = members[0] if end - start == 1 else -1
        node += 1
        if end - start > 1:
            cut = _split(members, lower, upper, order[start:end])
            starts.append(start + cut)
            ends.append(end)
            starts.append(start)  # popped first: the left child follows its parent
            ends.append(start + cut)


@compiled()
@no_type_check
def _split(members, lower, upper, order):
    """Split with the least surface area times count (Goldsmith and Salmon, CG&A 7(5), 1987).

    Sorts ``members`` into ``order`` and returns the number before the split.
    """
    count = len(members)
    best, best_cut = np.inf, 1
    for axis in range(3):
        place = lower[members, axis] + upper[members, axis]
        sorted_members = members[np.argsort(place, kind="mergesort")]
        heads = _areas(lower, upper, sorted_members)
        tails = _areas(lower, upper, sorted_members[::-1])
        better = False
        for cut in range(1, count):
            cost = heads[cut - 1] * cut + tails[count - cut - 1] * (count - cut)
            if cost < best:
                best, best_cut, better = cost, cut, True
        if better:
            order[:] = sorted_members
    return best_cut


@compiled()
@no_type_check
def _areas(lower, upper, members):
    """Half the surface area of the bounding box of the first 1, 2, ... members."""
    areas = np.empty(len(members))
    low, high = lower[members[0]].copy(), upper[members[0]].copy()
    for k in range(len(members)):
        for axis in range(3):
            low[axis] = min(low[axis], lower[members[k], axis])
            high[axis] = max(high[axis], upper[members[k], axis])
        x, y, z = high[0] - low[0], high[1] - low[1], high[2] - low[2]
        areas[k] = x * y + y * z + z * x
    return areas


@kernel
@no_type_check
def span(shape, x, y, z, dx, dy, dz):
    """Ray parameters of entry into and exit from a unit shape; entry > exit on a miss."""
    enter, leave = -np.inf, np.inf
    if shape != Shape.BALL:  # the slab |z| <= 1 of cube and cylinder
        if dz != 0.0:
            a, b = (-1.0 - z) / dz, (1.0 - z) / dz
            enter, leave = min(a, b), max(a, b)
        elif abs(z) > 1.0:
            return np.inf, -np.inf
    if shape == Shape.BOX:
        if dx != 0.0:
            a, b = (-1.0 - x) / dx, (1.0 - x) / dx
            enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
        elif abs(x) > 1.0:
            return np.inf, -np.inf
        if dy != 0.0:
            a, b = (-1.0 - y) / dy, (1.0 - y) / dy
            enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
        elif abs(y) > 1.0:
            return np.inf, -np.inf
        return enter, leave
    if shape == Shape.CYLINDER:
        z, dz = 0.0, 0.0
    square = dx * dx + dy * dy + dz * dz
    if square == 0.0:  # along the cylinder's axis
        return (enter, leave) if x * x + y * y <= 1.0 else (np.inf, -np.inf)
    # From the foot of the perpendicular: no cancellation for small solids far away.
    foot = -(x * dx + y * dy + z * dz) / square
    px, py, pz = x + foot * dx, y + foot * dy, z + foot * dz
    rest = 1.0 - (px * px + py * py + pz * pz)
    if rest < 0.0:
        return np.inf, -np.inf
    half = np.sqrt(rest / square)
    return max(enter, foot - half), min(leave, foot + half)


@kernel
@no_type_check
def _inverse(x):
    return 1.0 / x if abs(x) > 1e-300 else 1e300


@kernel
@no_type_check
def first_hit(solids, x, y, z, dx, dy, dz, reach, any_hit):
    """Nearest surface crossing in front of a point, within ``reach``.

    Returns the ray parameter, the solid (-1 if none) and whether the point lies inside that solid.
    ``any_hit`` returns the first crossing found in place of the nearest. The traversal is stackless
    (Smits, Efficiency issues for ray tracing, JGT 3(2), 1998).
    """
    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
    m = solids.unit_from_world
    best, hit, inside = reach, -1, False
    node, end = 0, solids.node_skip.shape[0]
    while node < end:
        a, b = (solids.node_lower[node, 0] - x) * ix, (solids.node_upper[node, 0] - x) * ix
        enter, leave = min(a, b), max(a, b)
        a, b = (solids.node_lower[node, 1] - y) * iy, (solids.node_upper[node, 1] - y) * iy
        enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
        a, b = (solids.node_lower[node, 2] - z) * iz, (solids.node_upper[node, 2] - z) * iz
        enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
        if leave < 0.0 or enter > leave + 1e-9 * abs(leave) or enter > best:
            node = solids.node_skip[node]
            continue
        i = solids.node_solid[node]
        if i >= 0:
            t0, t1 = span(
                solids.shape[i],
                m[i, 0, 0] * x + m[i, 0, 1] * y + m[i, 0, 2] * z + m[i, 0, 3],
                m[i, 1, 0] * x + m[i, 1, 1] * y + m[i, 1, 2] * z + m[i, 1, 3],
                m[i, 2, 0] * x + m[i, 2, 1] * y + m[i, 2, 2] * z + m[i, 2, 3],
                m[i, 0, 0] * dx + m[i, 0, 1] * dy + m[i, 0, 2] * dz,
                m[i, 1, 0] * dx + m[i, 1, 1] * dy + m[i, 1, 2] * dz,
                m[i, 2, 0] * dx + m[i, 2, 1] * dy + m[i, 2, 2] * dz,
            )
            if t0 <= t1 and t1 > 0.0:
                t = t0 if t0 > 0.0 else t1
                if t < best:
                    best, hit, inside = t, i, t0 <= 0.0
                    if any_hit:
                        return best, hit, inside
        node += 1
    return best, hit, inside


@kernel
@no_type_check
def face_of(shape, x, y, z):
    """Face of a point on the unit shape's surface: 2 * axis, plus 1 on the positive side.

    A ball has the faces of its bounding cube, a cylinder's side has four.
    """
    ax, ay, az = abs(x), abs(y), abs(z)
    across = np.sqrt(x * x + y * y) if shape == Shape.CYLINDER else max(ax, ay)
    if az >= across:
        return 5 if z > 0.0 else 4
    if ax >= ay:
        return 1 if x > 0.0 else 0
    return 3 if y > 0.0 else 2


@kernel
@no_type_check
def chart_of(shape, face, x, y, z):
    """Coordinates in [-1, 1]^2 of a surface point on its face."""
    axis = face >> 1
    if axis == 2:
        if shape == Shape.BALL:
            return x / abs(z), y / abs(z)
        return x, y
    longest = abs(x) if axis == 0 else abs(y)
    other = y if axis == 0 else x
    if shape == Shape.BOX:
        return other, z
    return other / longest, (z / longest if shape == Shape.BALL else z)


@kernel
@no_type_check
def surface_at(shape, face, a, b):
    """Point of the unit shape's surface at chart coordinates; inverse of :func:`chart_of`."""
    sign = 1.0 if face & 1 else -1.0
    axis = face >> 1
    x, y, z = a, b, sign
    if axis == 0:
        x, y, z = sign, a, b
    elif axis == 1:
        x, y, z = a, sign, b
    if shape == Shape.BALL:
        length = np.sqrt(x * x + y * y + z * z)
        return x / length, y / length, z / length
    if shape == Shape.CYLINDER and axis != 2:
        length = np.sqrt(x * x + y * y)
        return x / length, y / length, z
    return x, y, z


@kernel
@no_type_check
def normal_at(solids, i, face, x, y, z):
    """Outward unit normal, world frame, at a point of the unit shape's surface."""
    axis = face >> 1
    if solids.shape[i] == Shape.BOX or (solids.shape[i] == Shape.CYLINDER and axis == 2):
        sign = 1.0 if face & 1 else -1.0
        x = sign if axis == 0 else 0.0
        y = sign if axis == 1 else 0.0
        z = sign if axis == 2 else 0.0
    elif solids.shape[i] == Shape.CYLINDER:
        z = 0.0
    m = solids.unit_from_world  # normals transform by the inverse transpose
    nx = m[i, 0, 0] * x + m[i, 1, 0] * y + m[i, 2, 0] * z
    ny = m[i, 0, 1] * x + m[i, 1, 1] * y + m[i, 2, 1] * z
    nz = m[i, 0, 2] * x + m[i, 1, 2] * y + m[i, 2, 2] * z
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    return nx / length, ny / length, nz / length
