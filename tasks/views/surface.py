"""How points of a view lie to the surface that the splat shows its photos.

A splat is most nearly right where it was fitted: in the photos. A point that a plane sweep found
near the surface seen from there is likely to be one of that surface, and the splat's error there
says how far it may be wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from numba import float32, prange

from tasks.cameras import Cameras
from tasks.depth.reprojection import relative_maps
from tasks.depth.sampling import sample, sample_channel
from tasks.runtime.jit import parallel_kernel
from tasks.views.visibility import PhotoStack


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """What the photos that see a pixel's point say of it."""

    gap: Float32[np.ndarray, "h w"]
    """Distance from the splat's surface along a photo's axis, as a share of the depth there: the
    least over the photos, at most 1; 1 where none sees the point."""
    error: Float32[np.ndarray, "h w"]
    """Mean absolute colour error of the splat there, for images in [0, 1]: the mean over the
    photos; 0 where none sees the point."""


def meet_surface(
    depth: Float32[np.ndarray, "h w"], camera: Cameras, stack: PhotoStack, photos: Sequence[int]
) -> Surface:
    """Look for the points of a view in photos.

    Args:
        depth: of the points along the view's optical axis, world units, positive.
        camera: of the view, one.
        photos: indices into the stack.
    """
    maps, offsets = relative_maps(camera, stack.cameras.select(photos))
    gap, error = np.empty_like(depth), np.empty_like(depth)
    _meet(
        depth,
        maps,
        offsets,
        np.asarray(photos, np.int32),
        stack.cameras.sizes.astype(np.int32),
        stack.depths,
        stack.errors,
        stack.usable,
        gap,
        error,
    )
    return Surface(gap=gap, error=error)


@parallel_kernel
def _meet(
    depth: Float32[np.ndarray, "h w"],
    maps: Float32[np.ndarray, "k 3 3"],
    offsets: Float32[np.ndarray, "k 3"],
    photos: Int32[np.ndarray, " k"],
    sizes: Int32[np.ndarray, "n 2"],
    depths: Float32[np.ndarray, "n H W"],
    errors: UInt8[np.ndarray, "n H W 1"],
    usable: Bool[np.ndarray, "n H W"],
    gap: Float32[np.ndarray, "h w"],
    error: Float32[np.ndarray, "h w"],
) -> None:
    height, width = depth.shape
    zero, one = float32(0), float32(1)
    for row in prange(height):
        y = float32(row) + float32(0.5)
        for column in range(width):
            x = float32(column) + float32(0.5)
            z = depth[row, column]
            least, total, seeing = one, zero, zero
            for k in range(photos.shape[0]):
                j = photos[k]
                a, b = maps[k], offsets[k]
                wide, high = sizes[j, 0], sizes[j, 1]
                far = z * (a[2, 0] * x + a[2, 1] * y + a[2, 2]) + b[2]
                if far <= zero:
                    continue
                u = (z * (a[0, 0] * x + a[0, 1] * y + a[0, 2]) + b[0]) / far
                v = (z * (a[1, 0] * x + a[1, 1] * y + a[1, 2]) + b[1]) / far
                if not (zero <= u < float32(wide) and zero <= v < float32(high)):
                    continue
                if not usable[j, int(v), int(u)]:
                    continue
                least = min(least, abs(far - sample(depths[j], u, v, wide, high)) / far)
                total += sample_channel(errors[j], 0, u, v, wide, high)
                seeing += one
            gap[row, column] = least
            error[row, column] = total / max(seeing, one)
