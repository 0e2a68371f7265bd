"""Ray-traced photos and depth maps of a scene."""

import math
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float32, UInt8
from numba import prange

from tasks.cameras import Cameras
from tasks.procedural.build import ProceduralScene
from tasks.procedural.light import Light, Lightmap, bake, shade, sky
from tasks.procedural.noise import kernel
from tasks.procedural.trace import Solids, first_hit, pack
from tasks.runtime.jit import compiled


class PreparedScene(NamedTuple):
    """Packed arrays and lightmap of a scene."""

    solids: Solids
    lightmap: Lightmap
    light: Light


_TEXELS_PER_RAD = 35.0  # of indirect light, for solids far from every camera


def prepare(scene: ProceduralScene, *, strata: int = 8) -> PreparedScene:
    """Pack a scene and bake its indirect light (``strata ** 2`` rays per texel)."""
    solids = pack(scene.solids, texture_seed=scene.texture_seed)
    middle = np.array([solid.centre for solid in scene.solids])
    distance_m = np.linalg.norm(middle[:, None] - scene.cameras.centres, axis=2).min(1)
    distance_m -= np.linalg.norm(solids.half_size, axis=1)
    lightmap = bake(
        solids,
        scene.light,
        texel_m=np.maximum(scene.texel_m, distance_m / _TEXELS_PER_RAD),
        bounces=scene.bounces,
        strata=strata,
        seed=1,
    )
    return PreparedScene(solids=solids, lightmap=lightmap, light=scene.light)


@kernel
@no_type_check
def _film(x):
    """Scene-linear to display-linear: a film-like curve that never quite saturates."""
    return x / math.sqrt(1.0 + x * x)


@kernel
@no_type_check
def _encoded(x):
    """Display-linear to a byte: sRGB's power of 1 / 2.2, and 1.2 for the contrast of a print."""
    return int(255.0 * x ** (1.2 / 2.2) + 0.5)


@compiled(parallel=True)
@no_type_check
def _expose(solids, lightmap, light, pose, fx, fy, cx, cy, samples, rgb, depth):
    height, width = depth.shape
    ox, oy, oz = pose[0, 3], pose[1, 3], pose[2, 3]
    for row in prange(height):
        for column in range(width):
            red, green, blue = 0.0, 0.0, 0.0
            for s in range(samples * samples + 1):
                centre = s == samples * samples  # the last ray gives depth only
                if centre:
                    px, py = column + 0.5, row + 0.5
                else:
                    # A grid sheared both ways: every ray has its own column and row, so vertical
                    # and horizontal edges get all samples ** 2 + 1 grey levels, without noise.
                    a, b = s % samples, s // samples
                    px = column + (a + (b + 0.5) / samples) / samples
                    py = row + (b + (a + 0.5) / samples) / samples
                u, v = (px - cx) / fx, (py - cy) / fy
                # Not normalised: with z = 1 in the camera, the ray parameter is the depth.
                dx = pose[0, 0] * u + pose[0, 1] * v + pose[0, 2]
                dy = pose[1, 0] * u + pose[1, 1] * v + pose[1, 2]
                dz = pose[2, 0] * u + pose[2, 1] * v + pose[2, 2]
                t, hit, _ = first_hit(solids, ox, oy, oz, dx, dy, dz, np.inf, False)
                if centre:
                    depth[row, column] = t if hit >= 0 else 0.0
                    continue
                length = math.sqrt(dx * dx + dy * dy + dz * dz)
                pixel = 1.0 / (fx * samples)
                if hit < 0:
                    colour = sky(light, dx / length, dy / length, dz / length, pixel)
                else:
                    colour = shade(
                        solids,
                        lightmap,
                        light,
                        hit,
                        ox + t * dx,
                        oy + t * dy,
                        oz + t * dz,
                        dx / length,
                        dy / length,
                        dz / length,
                        pixel * t,
                        (s + 0.5) / (samples * samples),
                        0.61803 * s,  # golden section: spread over the sun's disc
                    )
                # Averaged after the film curve: before it, one bright sample would dominate and
                # edges against the sky would alias.
                red += _film(light.exposure * colour[0])
                green += _film(light.exposure * colour[1])
                blue += _film(light.exposure * colour[2])
            rgb[row, column, 0] = _encoded(red / (samples * samples))
            rgb[row, column, 1] = _encoded(green / (samples * samples))
            rgb[row, column, 2] = _encoded(blue / (samples * samples))


def render(
    prepared: PreparedScene, cameras: Cameras, index: int, *, samples: int
) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
    """One photo, and depth at pixel centres; bitwise equal on any number of threads.

    Args:
        index: of the camera.
        samples: square root of the rays per pixel, in a fixed pattern.

    Returns:
        sRGB, and z along the optical axis in metres (0 where the ray meets the sky).
    """
    width, height = cameras.size(index)
    k = cameras.intrinsics[index]
    rgb = np.empty((height, width, 3), np.uint8)
    depth = np.empty((height, width), np.float32)
    _expose(
        prepared.solids,
        prepared.lightmap,
        prepared.light,
        cameras.world_from_camera[index],
        k[0, 0],
        k[1, 1],
        k[0, 2],
        k[1, 2],
        samples,
        rgb,
        depth,
    )
    return rgb, depth
