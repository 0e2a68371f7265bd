"""Visibility of a view's points in the training photos, and photos warped into it by its depth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from numba import float32, prange

from tasks.cameras import Cameras
from tasks.depth.reprojection import relative_centres, relative_maps
from tasks.depth.sampling import sample, sample_channel
from tasks.runtime.jit import parallel_kernel

ANGLE_SCALE_RAD = 0.35
"""Angle between the rays to a point at which a photo counts 1 / e."""
DEPTH_TOLERANCE = 0.05
"""Share of its depth by which a point behind the photo's surface counts 1 / e."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoStack:
    """Photos, and the splat's errors and depths in them, padded to one size."""

    cameras: Cameras
    photos: UInt8[np.ndarray, "n h w 3"]
    errors: UInt8[np.ndarray, "n h w 1"]
    """Mean absolute colour error of the splat at each pixel, 255 for 1."""
    depths: Float32[np.ndarray, "n h w"]
    """Rendered, along the optical axis, world units."""
    usable: Bool[np.ndarray, "n h w"]
    """False on masked-out pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Visibility:
    """Visibility of a view in candidate photos."""

    score: Float32[np.ndarray, " c"]
    """Mean over the view of ``v exp(-theta / 0.35)``, for each candidate."""
    per_pixel: Float32[np.ndarray, "c h w"]
    """v, in [0, 1]: 1 where the candidate shows the pixel's point, less where it is occluded."""


def visibility(
    depth: Float32[np.ndarray, "h w"],
    camera: Cameras,
    stack: PhotoStack,
    candidates: Sequence[int],
) -> Visibility:
    """Visibility of a view's points in photos, by the rendered depth of both.

    ``v = in frame * exp(-max(0, z - D) / (0.05 z))`` for a point at depth z in a photo whose
    rendered depth there is D; theta is the angle between the rays from both cameras to the point.

    Args:
        depth: of the view along its optical axis, world units, positive.
        camera: of the view, one.
        candidates: indices into the stack.
    """
    height, width = depth.shape
    compared = stack.cameras.select(candidates)
    maps, offsets = relative_maps(camera, compared)
    per_pixel = np.empty((len(candidates), height, width), np.float32)
    row_scores = np.empty((height, len(candidates)), np.float32)
    _visibility(
        depth,
        np.linalg.inv(camera.intrinsics[0]).astype(np.float32),
        maps,
        offsets,
        relative_centres(camera, compared),
        np.asarray(candidates, np.int32),
        stack.cameras.sizes.astype(np.int32),
        stack.depths,
        stack.usable,
        per_pixel,
        row_scores,
    )
    score = row_scores.sum(0, dtype=np.float64) / (height * width)
    return Visibility(score=score.astype(np.float32), per_pixel=per_pixel)


def warp(
    depth: Float32[np.ndarray, "h w"],
    camera: Cameras,
    image: UInt8[np.ndarray, "H W c"],
    image_camera: Cameras,
) -> Float32[np.ndarray, "h w c"]:
    """An image of another camera resampled at the view's pixels, in [0, 1].

    Bilinear; outside the image its border is repeated.

    Args:
        depth: of the view along its optical axis, world units, positive.
        camera: of the view, one.
        image: 255 for 1; may be padded to the right and below.
        image_camera: of the image, one.
    """
    maps, offsets = relative_maps(camera, image_camera)
    warped = np.empty((*depth.shape, image.shape[2]), np.float32)
    width, height = image_camera.size(0)
    _warp(depth, maps[0], offsets[0], image, width, height, warped)
    return warped


@parallel_kernel
def _visibility(
    depth: Float32[np.ndarray, "h w"],
    ray_from_pixel: Float32[np.ndarray, "3 3"],
    maps: Float32[np.ndarray, "c 3 3"],
    offsets: Float32[np.ndarray, "c 3"],
    centres: Float32[np.ndarray, "c 3"],
    candidates: Int32[np.ndarray, " c"],
    sizes: Int32[np.ndarray, "n 2"],
    depths: Float32[np.ndarray, "n H W"],
    usable: Bool[np.ndarray, "n H W"],
    per_pixel: Float32[np.ndarray, "c h w"],
    row_scores: Float32[np.ndarray, "h c"],
) -> None:
    height, width = depth.shape
    zero, one = float32(0), float32(1)
    inverse_angle = float32(1 / ANGLE_SCALE_RAD)
    inverse_tolerance = float32(1 / DEPTH_TOLERANCE)
    for row in prange(height):
        y = float32(row) + float32(0.5)
        for c in range(candidates.shape[0]):
            j = candidates[c]
            a, b, centre = maps[c], offsets[c], centres[c]
            other_width, other_height = sizes[j, 0], sizes[j, 1]
            total = zero
            for column in range(width):
                x = float32(column) + float32(0.5)
                z = depth[row, column]
                per_pixel[c, row, column] = zero
                far = z * (a[2, 0] * x + a[2, 1] * y + a[2, 2]) + b[2]
                if far <= zero:
                    continue
                u = (z * (a[0, 0] * x + a[0, 1] * y + a[0, 2]) + b[0]) / far
                w = (z * (a[1, 0] * x + a[1, 1] * y + a[1, 2]) + b[1]) / far
                if not (zero <= u < float32(other_width) and zero <= w < float32(other_height)):
                    continue
                if not usable[j, int(w), int(u)]:
                    continue
                surface = sample(depths[j], u, w, other_width, other_height)
                v = math.exp(-max(zero, far - surface) * inverse_tolerance / far)
                per_pixel[c, row, column] = v
                # The point from both cameras, along the axes of the view.
                px = z * (ray_from_pixel[0, 0] * x + ray_from_pixel[0, 2])
                py = z * (ray_from_pixel[1, 1] * y + ray_from_pixel[1, 2])
                ox, oy, oz = px - centre[0], py - centre[1], z - centre[2]
                lengths = (px * px + py * py + z * z) * (ox * ox + oy * oy + oz * oz)
                cosine = (px * ox + py * oy + z * oz) / math.sqrt(lengths)
                total += v * math.exp(-math.acos(min(one, max(-one, cosine))) * inverse_angle)
            row_scores[row, c] = total


@parallel_kernel
def _warp(
    depth: Float32[np.ndarray, "h w"],
    a: Float32[np.ndarray, "3 3"],
    b: Float32[np.ndarray, "3"],
    image: UInt8[np.ndarray, "H W c"],
    image_width: int,
    image_height: int,
    warped: Float32[np.ndarray, "h w c"],
) -> None:
    height, width = depth.shape
    for row in prange(height):
        y = float32(row) + float32(0.5)
        for column in range(width):
            x = float32(column) + float32(0.5)
            z = depth[row, column]
            # Behind the other camera the result is arbitrary, but must be finite.
            far = max(z * (a[2, 0] * x + a[2, 1] * y + a[2, 2]) + b[2], float32(1e-6) * z)
            u = (z * (a[0, 0] * x + a[0, 1] * y + a[0, 2]) + b[0]) / far
            w = (z * (a[1, 0] * x + a[1, 1] * y + a[1, 2]) + b[1]) / far
            for channel in range(warped.shape[2]):
                warped[row, column, channel] = sample_channel(
                    image, channel, u, w, image_width, image_height
                )
