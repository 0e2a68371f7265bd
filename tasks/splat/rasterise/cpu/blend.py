"""Front-to-back blending of a tile's Gaussians, and its gradient.

For the Gaussians of a pixel, nearest first, with alpha_i = min(0.999, opacity exp(-sigma_i)) and
those below 1/255 skipped (Kerbl et al., ACM TOG 42(4), 2023, eq. 3; bounds as in gsplat):

    w_i = alpha_i T_i,    T_{i+1} = T_i - w_i,    image = sum w_i c_i + T_end background,

where a Gaussian that would leave T <= 1e-4 is not drawn and ends the pixel.

The backward pass runs front to back too. Let s_i be the product of the upstream gradient with
Gaussian i's colour (and depth), and S_i what lies behind it, the sum of w_j s_j over j > i and
``T_end (background . grad_rgb - grad_alpha)``. S starts as a number of the finished image and loses
w_i s_i at each Gaussian, so nothing is kept per Gaussian and pixel. Since T_j for j > i holds the
factor 1 - alpha_i,

    m_i = dL / d(ln alpha_i) = w_i s_i - alpha_i S_i / (1 - alpha_i),

0 where alpha was capped. Gradients of position, conic and opacity are sums of m_i times moments of
the distance to the pixel. A Gaussian's sums over a tile are kept in vectors along its rows, reduced
once, and added to the thread's own table: no atomic operations, the same result every time.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from llvmlite import ir
from numba import float32, int32, prange
from numba.core import cgutils, types
from numba.extending import intrinsic

from tasks.runtime.jit import inlined, parallel_kernel
from tasks.splat.rasterise.cpu.layout import (
    CONIC_DET,
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    CUTOFF,
    GRADIENTS,
    MEAN_X,
    MEAN_Y,
    PROJECTED,
    RED,
    TILE,
    TILE_SHIFT,
    Blended,
    Details,
    Tiles,
)
from tasks.splat.rasterise.cpu.tiles import cutoff_level, extreme, tiles_along
from tasks.splat.rasterise.cpu.vectors import (
    FLOAT,
    INT,
    Vector,
    absolute,
    any_lane,
    broadcast,
    constant,
    data_pointer,
    exp2,
    lane_numbers,
    load,
    prefetch,
    scalar,
    select,
    store,
    sum_lanes,
)

MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4
MEDIAN_TRANSMITTANCE = 0.5
_LOG2_E = math.log2(math.e)
_LOG2_MIN_ALPHA = -math.log2(255.0)

# A tile's state: planes of 16 x 16 floats.
_PLANE = TILE * TILE
_TRANSMITTANCE = 0
"""T_i; 0 in pixels that are finished or outside the image."""
_REST = 1
"""Forward: T_end so far. Backward: S_i."""
_CHANNELS = 2
"""Red, green, blue, depth. Forward: their sums so far. Backward: the upstream gradients."""
_MEDIAN = 6
"""Forward: depth of the Gaussian that took T to 1/2; 0 where none has."""
_PLANES = 7

_AHEAD = 3
"""Gaussians between the one that is prefetched and the one that is drawn."""
_CHUNK = 16
"""Gaussians whose rows are computed together: the computations overlap, while drawing, whose
branches depend on the rows, would wait for each."""

# `touched` [pairs]: first + 16 last row of the tile that a Gaussian draws on.
_NO_ROW = 1
"""First 1, last 0."""


class _Footprint:
    """One Gaussian over a tile: emits its alpha, row by row.

    alpha = 2^(log2(opacity) - log2(e) (xx dx^2 + 2 xy dx dy + yy dy^2) / 2); what does not depend
    on the row is worked out once.
    """

    def __init__(self, builder: Any, row_of: Any, tile_x: Any, tile_y: Any) -> None:
        """``row_of`` is the address of its row in ``projected``; ``tile_x`` and ``tile_y`` are the
        centre of the tile's first pixel."""

        def column(index: int) -> Any:
            return builder.load(builder.gep(row_of, [ir.Constant(INT, index)]))

        def times(value: Any, factor: float) -> Any:
            return builder.fmul(value, scalar(factor))

        self.builder = builder
        self.mean_y = builder.fsub(column(MEAN_Y), tile_y)
        self.dx = broadcast(builder, builder.fsub(column(MEAN_X), tile_x)) - lane_numbers(builder)
        log2_opacity = builder.fadd(times(column(CUTOFF), _LOG2_E), scalar(_LOG2_MIN_ALPHA))
        half_xx = broadcast(builder, times(column(CONIC_XX), 0.5 * _LOG2_E))
        self.at_row_0 = broadcast(builder, log2_opacity) - half_xx * self.dx * self.dx
        self.slope = broadcast(builder, times(column(CONIC_XY), _LOG2_E)) * self.dx
        self.half_yy = times(column(CONIC_YY), 0.5 * _LOG2_E)
        self.conic = [broadcast(builder, column(c)) for c in (CONIC_XX, CONIC_XY, CONIC_YY)]
        # The columns RED, GREEN, BLUE, DEPTH follow each other.
        self.channels = [broadcast(builder, column(RED + channel)) for channel in range(4)]

    def row(self, row: Any) -> tuple[Vector, Vector, Any]:
        """Alpha, dy and the mask of lanes where alpha was capped."""
        builder = self.builder
        dy = builder.fsub(self.mean_y, builder.sitofp(row, FLOAT))
        bend = broadcast(builder, builder.fmul(self.half_yy, builder.fmul(dy, dy)))
        dy_lanes = broadcast(builder, dy)
        exponent = self.at_row_0 - bend - dy_lanes * self.slope
        drawn = exponent.compare(">=", _LOG2_MIN_ALPHA)
        alpha = exp2(builder, exponent)
        capped = alpha.compare(">", MAX_ALPHA)
        alpha = select(builder, drawn, select(builder, capped, MAX_ALPHA, alpha), 0.0)
        return alpha, dy_lanes, capped

    def pulls(self, dy: Vector) -> tuple[Vector, Vector]:
        """``-d(ln alpha) / d mean`` along x and y at a row's dy."""
        xx, xy, yy = self.conic
        return xx * self.dx + xy * dy, xy * self.dx + yy * dy


class _Planes:
    """One row of a tile's state."""

    def __init__(self, builder: Any, state: Any, row: Any) -> None:
        self.builder = builder
        self.state = state
        self.first = builder.mul(row, ir.Constant(INT, TILE))

    def _index(self, plane: int) -> Any:
        return self.builder.add(self.first, ir.Constant(INT, plane * _PLANE))

    def load(self, plane: int) -> Vector:
        return load(self.builder, self.state, self._index(plane))

    def store(self, plane: int, vector: Vector) -> None:
        store(self.builder, vector, self.state, self._index(plane))


def _draw(builder: Any, alpha: Vector, planes: _Planes) -> tuple[Vector, Vector, Any]:
    """Spend transmittance: the weights, the transmittance left, the mask of finished lanes."""
    before = planes.load(_TRANSMITTANCE)
    weight = alpha * before
    after = before - weight
    finished = after.compare("<=", MIN_TRANSMITTANCE)
    weight = select(builder, finished, 0.0, weight)
    after = select(builder, finished, 0.0, after)
    planes.store(_TRANSMITTANCE, after)
    return weight, after, finished


def _for_live_rows(
    builder: Any, alive: Any, first_row: Any, last_row: Any, draw_row: Callable[[Any], Vector]
) -> Any:
    """Loop over the rows not marked finished; ``draw_row`` gives the transmittance left.

    Marks the rows that it finishes and returns their number.
    """
    finished_rows = cgutils.alloca_once(builder, INT)
    builder.store(ir.Constant(INT, 0), finished_rows)
    count = builder.add(builder.sub(last_row, first_row), ir.Constant(INT, 1))
    with cgutils.for_range(builder, count, intp=INT) as loop:
        row = builder.add(first_row, loop.index)
        mark = builder.gep(alive, [row])
        with builder.if_then(builder.icmp_signed("!=", builder.load(mark), ir.Constant(INT, 0))):
            left = draw_row(row)
            some_left = any_lane(builder, left.compare(">", 0.0))
            with builder.if_then(builder.not_(some_left), likely=False):
                builder.store(ir.Constant(INT, 0), mark)
                total = builder.add(builder.load(finished_rows), ir.Constant(INT, 1))
                builder.store(total, finished_rows)
    return builder.load(finished_rows)


def _row_address(context: Any, builder: Any, array_type: Any, array: Any, n: Any, row: int) -> Any:
    """Address of row ``n`` of a table whose rows hold ``row`` floats."""
    offset = builder.mul(n, ir.Constant(n.type, row))
    return builder.gep(data_pointer(context, builder, array_type, array), [offset])


def _drawing(*, channels: int, with_details: bool = False) -> Any:
    """The intrinsic that draws Gaussian ``n`` into the rows first..last of a tile, and with details
    keeps the median depth and adds the weights to its place in ``weights``."""

    def draw(
        typing_context: Any,
        state: Any,
        alive: Any,
        first_row: Any,
        last_row: Any,
        tile_x: Any,
        tile_y: Any,
        projected: Any,
        n: Any,
        weights: Any,
    ) -> Any:
        f, i = types.float32, types.int32
        signature = i(state, alive, i, i, f, f, projected, types.intp, weights)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            state_type, alive_type, *_, projected_type, _, weights_type = signature.args
            state, alive, first_row, last_row, tile_x, tile_y, projected, n, weights = arguments
            state = data_pointer(context, builder, state_type, state)
            alive = data_pointer(context, builder, alive_type, alive)
            row_of = _row_address(context, builder, projected_type, projected, n, PROJECTED)
            footprint = _Footprint(builder, row_of, tile_x, tile_y)
            if with_details:
                weight_sum = cgutils.alloca_once(builder, constant(0.0).type)
                builder.store(constant(0.0), weight_sum)

            def draw_row(row: Any) -> Vector:
                planes = _Planes(builder, state, row)
                alpha, _, _ = footprint.row(row)
                before = planes.load(_TRANSMITTANCE)
                weight, left, _ = _draw(builder, alpha, planes)
                planes.store(_REST, planes.load(_REST) - weight)
                for channel in range(channels):
                    plane = _CHANNELS + channel
                    drawn = planes.load(plane) + weight * footprint.channels[channel]
                    planes.store(plane, drawn)
                if with_details:
                    sum_so_far = Vector(builder, builder.load(weight_sum))
                    builder.store((sum_so_far + weight).value, weight_sum)
                    # False where the pixel is finished: there T had fallen below a tenth already.
                    crossed = builder.and_(
                        before.compare(">", MEDIAN_TRANSMITTANCE),
                        left.compare("<=", MEDIAN_TRANSMITTANCE),
                    )
                    median = select(builder, crossed, footprint.channels[3], planes.load(_MEDIAN))
                    planes.store(_MEDIAN, median)
                return left

            finished_rows = _for_live_rows(builder, alive, first_row, last_row, draw_row)
            if with_details:
                total = sum_lanes(builder, [Vector(builder, builder.load(weight_sum))])
                in_first_lane = builder.extract_element(total.value, ir.Constant(INT, 0))
                place = _row_address(context, builder, weights_type, weights, n, 1)
                builder.store(builder.fadd(builder.load(place), in_first_lane), place)
            return finished_rows

        return signature, generate

    return intrinsic(draw)


def _gathering(*, channels: int, with_absolute: bool = False) -> Any:
    """The intrinsic that adds Gaussian ``n``'s gradient sums over the rows first..last of a tile to
    its row of ``gradients``, the absolute ones only if wanted."""

    def gather(
        typing_context: Any,
        state: Any,
        alive: Any,
        first_row: Any,
        last_row: Any,
        tile_x: Any,
        tile_y: Any,
        projected: Any,
        n: Any,
        gradients: Any,
    ) -> Any:
        f, i = types.float32, types.int32
        signature = i(state, alive, i, i, f, f, projected, types.intp, gradients)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            state_type, alive_type, *_, projected_type, _, gradients_type = signature.args
            state, alive, first_row, last_row, tile_x, tile_y, projected, n, gradients = arguments
            state = data_pointer(context, builder, state_type, state)
            alive = data_pointer(context, builder, alive_type, alive)
            row_of = _row_address(context, builder, projected_type, projected, n, PROJECTED)
            footprint = _Footprint(builder, row_of, tile_x, tile_y)
            # Sums down the columns of m, m dy, m dy^2, of weight * grad for each channel, and of
            # the absolute pulls along x and y.
            terms_of_row = 3 + channels + (2 if with_absolute else 0)
            sums = [cgutils.alloca_once(builder, constant(0.0).type) for _ in range(terms_of_row)]
            for slot in sums:
                builder.store(constant(0.0), slot)

            def gather_row(row: Any) -> Vector:
                planes = _Planes(builder, state, row)
                alpha, dy, capped = footprint.row(row)
                weight, left, finished = _draw(builder, alpha, planes)
                upstream = [planes.load(_CHANNELS + channel) for channel in range(channels)]
                share = upstream[0] * footprint.channels[0]
                for channel in range(1, channels):
                    share = share + upstream[channel] * footprint.channels[channel]
                drawn = weight * share
                rest = planes.load(_REST) - drawn
                planes.store(_REST, rest)
                m = drawn - alpha * rest / (1.0 - alpha)
                m = select(builder, builder.or_(finished, capped), 0.0, m)
                m_dy = m * dy
                terms = [m, m_dy, m_dy * dy, *(weight * grad for grad in upstream)]
                if with_absolute:
                    terms += [absolute(builder, m * pull) for pull in footprint.pulls(dy)]
                for slot, term in zip(sums, terms, strict=True):
                    builder.store((Vector(builder, builder.load(slot)) + term).value, slot)
                return left

            finished_rows = _for_live_rows(builder, alive, first_row, last_row, gather_row)
            m, m_dy, m_dy_dy, *rest = (Vector(builder, builder.load(slot)) for slot in sums)
            by_channel, pulls = rest[:channels], rest[channels:]
            if with_absolute and channels == 3:
                by_channel.append(Vector(builder, constant(0.0)))  # in place of depth
            m_dx = m * footprint.dx
            # In the order of the columns of `gradients`.
            moments = [m, m_dx, m_dx * footprint.dx, m_dy, m_dy * footprint.dx, m_dy_dy]
            total = sum_lanes(builder, [*moments, *by_channel, *pulls])
            row_of = _row_address(context, builder, gradients_type, gradients, n, GRADIENTS)
            start = ir.Constant(INT, 0)
            store(builder, load(builder, row_of, start) + total, row_of, start)
            return finished_rows

        return signature, generate

    return intrinsic(gather)


_draw_colour = _drawing(channels=3)
_draw_colour_and_depth = _drawing(channels=4)
_draw_details = _drawing(channels=4, with_details=True)
_gather_colour = _gathering(channels=3)
_gather_colour_and_depth = _gathering(channels=4)
_gather_colour_and_absolute = _gathering(channels=3, with_absolute=True)
_gather_everything = _gathering(channels=4, with_absolute=True)


@inlined
def _rows_touched(
    projected: Float32[np.ndarray, "n 12"], n: int, tile_x: float, tile_y: float
) -> tuple[int, int]:
    """First and last row of a tile that Gaussian ``n`` touches; first > last if none.

    See :mod:`tasks.splat.rasterise.cpu.tiles` for the ellipse.
    """
    xx = projected[n, CONIC_XX]
    xy = projected[n, CONIC_XY]
    yy = projected[n, CONIC_YY]
    det = projected[n, CONIC_DET]
    level = cutoff_level(projected[n, CUTOFF])
    yy_level = yy * level
    inverse_yy = float32(1) / yy
    from_mean = tile_x - projected[n, MEAN_X]
    reach_x = math.sqrt(yy_level / det)
    left = max(from_mean, -reach_x)
    right = min(from_mean + float32(TILE - 1), reach_x)
    if left > right:
        return int32(1), int32(0)
    lower_end = -xy * math.sqrt(level / (xx * det))
    from_tile = projected[n, MEAN_Y] - tile_y
    slack = float32(1e-3)
    turn = min(max(lower_end, left), right)
    bottom = from_tile + extreme(yy_level, inverse_yy, xy, det, turn, float32(1)) + slack
    turn = min(max(-lower_end, left), right)
    top = from_tile + extreme(yy_level, inverse_yy, xy, det, turn, -float32(1)) - slack
    # ceil(top) and floor(bottom), through truncation of positive numbers.
    beyond = float32(2 * TILE)
    top = min(max(top, float32(0)), float32(TILE + 1))
    bottom = min(max(bottom, -float32(1)), float32(TILE - 1))
    return (
        int32(2 * TILE) - int32(beyond - top),
        int32(bottom + beyond) - int32(2 * TILE),
    )


@inlined
def _look_up_rows(
    projected: Float32[np.ndarray, "n 12"],
    flat_projected: Float32[np.ndarray, " floats"],
    members: Int32[np.ndarray, " pairs"],
    start: int,
    end: int,
    tile_x: float,
    tile_y: float,
    touched: UInt8[np.ndarray, " pairs"],
) -> int:
    """Fill ``touched`` for the next members of a tile; returns where they end."""
    known = min(end, start + _CHUNK)
    for i in range(known, min(end, known + _CHUNK)):
        prefetch(flat_projected, members[i] * PROJECTED)
    for i in range(start, known):
        first, last = _rows_touched(projected, members[i], tile_x, tile_y)
        touched[i] = first | last << int32(TILE_SHIFT) if first <= last else _NO_ROW
    return known


@inlined
def _start_tile(
    state: Float32[np.ndarray, " planes"],
    alive: Int32[np.ndarray, "16"],
    rows: int,
    columns: int,
) -> None:
    """Full transmittance in the tile's ``rows`` x ``columns`` pixels that the image has."""
    for row in range(TILE):
        alive[row] = 1 if row < rows else 0
        for column in range(TILE):
            inside = row < rows and column < columns
            state[row * TILE + column] = float32(1) if inside else float32(0)


@parallel_kernel
def blend(
    projected: Float32[np.ndarray, "n 12"],
    tiles: Tiles,
    background_image: Float32[np.ndarray, "h_or_1 w_or_1 3"],
    image: Blended,
    details: Details,
) -> None:
    """Write ``image``, ``details``, and the ``stops`` and ``touched`` rows of ``tiles``.

    Runs on at most as many threads as ``details.weights`` has tables.
    """
    starts, members, stops, touched = tiles
    rgb, transmittance, depth_sum = image
    median_depth, weights = details
    with_depth = depth_sum.shape[0] > 0
    with_details = median_depth.shape[0] > 0
    parts = weights.shape[0]
    height, width = transmittance.shape
    tile_columns = tiles_along(width)
    tile_count = tile_columns * tiles_along(height)
    flat_projected = projected.reshape(-1)
    for part in prange(parts):
        state = np.empty(_PLANES * _PLANE, np.float32)
        alive = np.empty(TILE, np.int32)
        own_weights = weights[part]
        own_weights[:] = float32(0)
        # Tiles in turn rather than in blocks: neighbours cost alike, so the parts end together.
        for tile in range(part, tile_count, parts):
            x = (tile % tile_columns) * TILE
            y = (tile // tile_columns) * TILE
            rows = min(TILE, height - y)
            columns = min(TILE, width - x)
            _start_tile(state, alive, rows, columns)
            state[_PLANE : _CHANNELS * _PLANE] = float32(1)
            state[_CHANNELS * _PLANE :] = float32(0)
            tile_x = float32(x) + float32(0.5)
            tile_y = float32(y) + float32(0.5)
            live_rows = rows
            i = starts[tile]
            end = starts[tile + 1]
            known = i
            while i < end:
                if i == known:
                    known = _look_up_rows(
                        projected, flat_projected, members, i, end, tile_x, tile_y, touched
                    )
                n = members[i]
                first = int32(touched[i]) & int32(TILE - 1)
                last = int32(touched[i]) >> int32(TILE_SHIFT)
                i += 1
                if first > last:
                    continue
                if with_details:
                    live_rows -= _draw_details(
                        state, alive, first, last, tile_x, tile_y, projected, n, own_weights
                    )
                elif with_depth:
                    live_rows -= _draw_colour_and_depth(
                        state, alive, first, last, tile_x, tile_y, projected, n, own_weights
                    )
                else:
                    live_rows -= _draw_colour(
                        state, alive, first, last, tile_x, tile_y, projected, n, own_weights
                    )
                if live_rows <= 0:
                    break
            stops[tile] = i
            for row in range(rows):
                for column in range(columns):
                    pixel = row * TILE + column
                    left = state[_REST * _PLANE + pixel]
                    transmittance[y + row, x + column] = left
                    colour = background_image[
                        min(y + row, background_image.shape[0] - 1),
                        min(x + column, background_image.shape[1] - 1),
                    ]
                    for channel in range(3):
                        rgb[y + row, x + column, channel] = (
                            state[(_CHANNELS + channel) * _PLANE + pixel] + left * colour[channel]
                        )
                    if with_depth:
                        depth_sum[y + row, x + column] = state[(_CHANNELS + 3) * _PLANE + pixel]
                    if with_details:
                        median_depth[y + row, x + column] = state[_MEDIAN * _PLANE + pixel]


@parallel_kernel
def blend_backward(
    projected: Float32[np.ndarray, "n 12"],
    tiles: Tiles,
    image: Blended,
    by_image: Blended,
    with_absolute: bool,
    gradients: Float32[np.ndarray, "parts n 16"],
) -> None:
    """Backward of :func:`blend`: fill ``gradients`` (see layout)."""
    starts, members, stops, touched = tiles
    rgb, transmittance, depth_sum = image
    grad_rgb, grad_alpha, grad_depth_sum = by_image
    with_depth = depth_sum.shape[0] > 0
    height, width = transmittance.shape
    tile_columns = tiles_along(width)
    tile_count = tile_columns * tiles_along(height)
    parts = gradients.shape[0]
    flat_projected = projected.reshape(-1)
    for part in prange(parts):
        own = gradients[part]
        own[:] = float32(0)
        flat_own = own.reshape(-1)
        state = np.empty(_PLANES * _PLANE, np.float32)
        alive = np.empty(TILE, np.int32)
        for tile in range(part, tile_count, parts):
            x = (tile % tile_columns) * TILE
            y = (tile // tile_columns) * TILE
            rows = min(TILE, height - y)
            columns = min(TILE, width - x)
            _start_tile(state, alive, rows, columns)
            state[_PLANE:] = float32(0)
            for row in range(rows):
                for column in range(columns):
                    pixel = row * TILE + column
                    left = transmittance[y + row, x + column]
                    rest = -grad_alpha[y + row, x + column] * left
                    for channel in range(3):
                        grad = grad_rgb[y + row, x + column, channel]
                        state[(_CHANNELS + channel) * _PLANE + pixel] = grad
                        rest += grad * rgb[y + row, x + column, channel]
                    if with_depth:
                        grad = grad_depth_sum[y + row, x + column]
                        state[(_CHANNELS + 3) * _PLANE + pixel] = grad
                        rest += grad * depth_sum[y + row, x + column]
                    state[_REST * _PLANE + pixel] = rest
            tile_x = float32(x) + float32(0.5)
            tile_y = float32(y) + float32(0.5)
            live_rows = rows
            i = starts[tile]
            end = stops[tile]
            while i < end:
                n = members[i]
                first = int32(touched[i]) & int32(TILE - 1)
                last = int32(touched[i]) >> int32(TILE_SHIFT)
                i += 1
                if i + _AHEAD < end:
                    prefetch(flat_projected, members[i + _AHEAD] * PROJECTED)
                    prefetch(flat_own, members[i + _AHEAD] * GRADIENTS)
                if first > last:
                    continue
                if with_absolute:
                    if with_depth:
                        live_rows -= _gather_everything(
                            state, alive, first, last, tile_x, tile_y, projected, n, own
                        )
                    else:
                        live_rows -= _gather_colour_and_absolute(
                            state, alive, first, last, tile_x, tile_y, projected, n, own
                        )
                elif with_depth:
                    live_rows -= _gather_colour_and_depth(
                        state, alive, first, last, tile_x, tile_y, projected, n, own
                    )
                else:
                    live_rows -= _gather_colour(
                        state, alive, first, last, tile_x, tile_y, projected, n, own
                    )
                if live_rows <= 0:
                    break
