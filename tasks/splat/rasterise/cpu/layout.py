"""Columns of the tables that the kernels share, and the size of a tile.

A Gaussian is read at random from three kernels, so all that they need of it lies in one row.
"""

TILE = 16
"""Pixels along a side of a tile; one row of a tile is one vector of the blending kernels."""
TILE_SHIFT = 4

# `projected` [n, PROJECTED]: a Gaussian as one camera sees it, pixels and world units.
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

# `gradients` [threads, n, GRADIENTS]: sums over pixels, m = dL / d(ln alpha), d = mean - pixel.
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
