"""Arguments that the kernels share, the columns of their tables, and the size of a tile.

Three kernels read Gaussians in random order, so a row holds all that they need of one. Kernels take
named tuples, which numba unpacks at compile time; none is nested, since numba finds the class of a
tuple inside a ``prange`` loop only if it is an argument itself.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt8

TILE = 16
"""Pixels along a side of a tile; one row of a tile is one vector of the blending kernels."""
TILE_SHIFT = 4

# `projected` [n, PROJECTED]: a Gaussian projected into one camera, pixels and world units.
MEAN_X = 0
MEAN_Y = 1
CONIC_XX = 2
"""The conic is the inverse of the 2D covariance."""
CONIC_XY = 3
CONIC_YY = 4
OPACITY = 5
RED = 6
GREEN = 7
BLUE = 8
DEPTH = 9
CUTOFF = 10
"""``ln(255 opacity)``: where the exponent passes it, alpha is below 1/255 and nothing is drawn."""
CONIC_DET = 11
"""Determinant of the conic, kept because ``xx * yy - xy**2`` cancels for thin Gaussians."""
PROJECTED = 12

PARTS = 8
"""Tables in which sums over an image are taken. The threads share them out, so that no sum depends
on how many threads there are; more threads than tables gain nothing."""

# `gradients` [PARTS, n, GRADIENTS]: sums over pixels, m = dL / d(ln alpha), d = mean - pixel.
SUM_M = 0
SUM_M_DX = 1
SUM_M_DX_DX = 2
SUM_M_DY = 3
SUM_M_DX_DY = 4
SUM_M_DY_DY = 5
GRAD_RED = 6
GRAD_GREEN = 7
GRAD_BLUE = 8
GRAD_DEPTH = 9
ABS_X = 10
"""Sums of ``|m d(ln alpha) / d mean|`` along x and y."""
ABS_Y = 11
GRADIENTS = 16
"""One vector: the kernels add all columns at once; those after ABS_Y stay 0."""


class SplatArrays(NamedTuple):
    """Gaussians, in the units of :class:`tasks.splat.rasterise.protocol.SplatTensors`."""

    means: Float32[np.ndarray, "n 3"]
    quats: Float32[np.ndarray, "n 4"]
    scales: Float32[np.ndarray, "n 3"]
    opacities: Float32[np.ndarray, " n"]
    sh: Float32[np.ndarray, " sh_floats"]
    sh_rest: Float32[np.ndarray, " rest_floats"]


class Camera(NamedTuple):
    """A pinhole camera in float32: ``x_camera = rotation x_world + translation``."""

    rotation: Float32[np.ndarray, "3 3"]
    translation: Float32[np.ndarray, "3"]
    centre: Float32[np.ndarray, "3"]
    """World units."""
    pinhole: Float32[np.ndarray, "4"]
    """fx, fy, cx, cy, pixels."""
    width: int
    height: int


class Projection(NamedTuple):
    """Gaussians projected into one camera."""

    projected: Float32[np.ndarray, "n 12"]
    """Undefined for Gaussians out of view."""
    radii: Int32[np.ndarray, "n 2"]
    """Pixels; 0 out of view."""
    tile_counts: Int32[np.ndarray, " n"]
    """Upper bounds of the tiles that a Gaussian touches; 0 out of view."""


class Tiles(NamedTuple):
    """The Gaussians of each tile, front to back, and which of them were drawn."""

    starts: Int32[np.ndarray, " tiles_and_one"]
    """Tile i holds ``members[starts[i]:starts[i + 1]]``."""
    members: Int32[np.ndarray, " pairs"]
    stops: Int32[np.ndarray, " tiles"]
    """Index into ``members`` at which each tile was finished; blending writes it."""
    touched: UInt8[np.ndarray, " pairs"]
    """First + 16 last row of the tile that a member draws on; blending writes it up to the stop."""


class Blended(NamedTuple):
    """The image of one camera, or the gradient by it."""

    rgb: Float32[np.ndarray, "h w 3"]
    transmittance: Float32[np.ndarray, "h w"]
    """T_end; as a gradient, that by ``alpha = 1 - T_end``."""
    depth_sum: Float32[np.ndarray, "h_or_0 w_or_0"]
    """Sum of w z, world units; empty if not requested."""


class Details(NamedTuple):
    """Results without gradient; empty if not requested."""

    median_depth: Float32[np.ndarray, "h_or_0 w_or_0"]
    """World units."""
    weights: Float32[np.ndarray, "parts n_or_0"]
    """Sums of w of each Gaussian, a table for each thread."""


class SplatGradients(NamedTuple):
    """Gradients by the fields of :class:`SplatArrays`, the pixel positions and the camera."""

    means: Float32[np.ndarray, "n 3"]
    quats: Float32[np.ndarray, "n 4"]
    scales: Float32[np.ndarray, "n 3"]
    opacities: Float32[np.ndarray, " n"]
    sh: Float32[np.ndarray, " sh_floats"]
    sh_rest: Float32[np.ndarray, " rest_floats"]
    means2d: Float32[np.ndarray, "n 2"]
    camera: Float32[np.ndarray, "n_or_0 12"]
    """Each Gaussian's gradient by the nine numbers of the rotation and the three of the
    translation, less what comes through the centre; empty if not requested."""
