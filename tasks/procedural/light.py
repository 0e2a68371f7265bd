"""Sun, sky and interreflection; indirect light is stored in one small map per face."""

import math
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numba import prange

from tasks.procedural.materials import albedo
from tasks.procedural.noise import fractal, kernel, uniform
from tasks.procedural.trace import (
    Shape,
    Solids,
    chart_of,
    face_of,
    first_hit,
    normal_at,
    surface_at,
)
from tasks.runtime.jit import compiled

SURFACE_OFFSET_M = 1e-4
_BAKE_FOOTPRINT_M = 0.3  # filter width of textures in bounced light


class Light(NamedTuple):
    """Sun and sky, linear RGB, in units of the radiance that a white surface reflects."""

    to_sun: Float64[np.ndarray, "3"]
    """Unit vector, world frame, z up."""
    sun: Float64[np.ndarray, "3"]
    """Radiance of a white surface that faces the sun."""
    sun_radius_rad: float
    zenith: Float64[np.ndarray, "3"]
    horizon: Float64[np.ndarray, "3"]
    clouds: float
    """Opacity of the clouds, 0..1."""
    exposure: float


class Lightmap(NamedTuple):
    """Skylight and indirect light on every face, on a grid of texels."""

    start: Int64[np.ndarray, "n 6"]
    """Index of a face's first texel."""
    size: Int64[np.ndarray, "n 6 2"]
    """Texels along a face's two chart coordinates."""
    texels: Float32[np.ndarray, "k 3"]
    """Linear RGB radiance that a white surface would reflect."""


@kernel
@no_type_check
def sky(light, dx, dy, dz, width):
    """Radiance from a direction; ``width`` is the footprint in radians."""
    height = max(dz, 0.0)
    t = math.sqrt(height)
    stretch = 1.6 / (height + 0.28)
    wisps = fractal(dx * stretch, dy * stretch, 0.5, 77, 4, width * stretch * 2.0)
    cover = min(max(wisps + 0.35, 0.0), 1.0) * light.clouds
    below = min(max(-4.0 * dz, 0.0), 1.0)
    r = light.horizon[0] + t * (light.zenith[0] - light.horizon[0])
    g = light.horizon[1] + t * (light.zenith[1] - light.horizon[1])
    b = light.horizon[2] + t * (light.zenith[2] - light.horizon[2])
    white = 1.05 * light.horizon[1]
    dim = 1.0 - 0.7 * below
    return (
        (r + cover * (white - r)) * dim,
        (g + cover * (white - g)) * dim,
        (b + cover * (white - b)) * dim,
    )


@kernel
@no_type_check
def _gathered(lightmap, i, face, a, b):
    """Bilinear sample of the lightmap."""
    nu, nv = lightmap.size[i, face, 0], lightmap.size[i, face, 1]
    u = min(max((a + 1.0) * 0.5 * nu - 0.5, 0.0), nu - 1.0)
    v = min(max((b + 1.0) * 0.5 * nv - 0.5, 0.0), nv - 1.0)
    u0, v0 = int(u), int(v)
    u1, v1 = min(u0 + 1, nu - 1), min(v0 + 1, nv - 1)
    u, v = u - u0, v - v0
    start = lightmap.start[i, face]
    p, q = start + v0 * nu + u0, start + v0 * nu + u1
    s, t = start + v1 * nu + u0, start + v1 * nu + u1
    e = lightmap.texels
    w00, w01, w10, w11 = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
    return (
        e[p, 0] * w00 + e[q, 0] * w01 + e[s, 0] * w10 + e[t, 0] * w11,
        e[p, 1] * w00 + e[q, 1] * w01 + e[s, 1] * w10 + e[t, 1] * w11,
        e[p, 2] * w00 + e[q, 2] * w01 + e[s, 2] * w10 + e[t, 2] * w11,
    )


@kernel
@no_type_check
def shade(solids, lightmap, light, i, x, y, z, dx, dy, dz, width, sun_x, sun_y):
    """Radiance that a surface point reflects along a ray.

    Lambertian, with a Blinn-Phong highlight on glossy materials. ``width`` is the sample's
    footprint across the ray, metres; ``sun_x sun_y`` sample the sun's disc.
    """
    m = solids.unit_from_world
    px = m[i, 0, 0] * x + m[i, 0, 1] * y + m[i, 0, 2] * z + m[i, 0, 3]
    py = m[i, 1, 0] * x + m[i, 1, 1] * y + m[i, 1, 2] * z + m[i, 1, 3]
    pz = m[i, 2, 0] * x + m[i, 2, 1] * y + m[i, 2, 2] * z + m[i, 2, 3]
    shape = solids.shape[i]
    face = face_of(shape, px, py, pz)
    a, b = chart_of(shape, face, px, py, pz)
    nx, ny, nz = normal_at(solids, i, face, px, py, pz)

    hx, hy, hz = solids.half_size[i, 0], solids.half_size[i, 1], solids.half_size[i, 2]
    axis = face >> 1
    if shape == Shape.BALL or (shape == Shape.CYLINDER and axis != 2):
        u, v = math.atan2(py, px) * hx, pz * hz  # around the axis, along it
        hu, hv = math.pi * hx, hz
    else:
        u, v, hu, hv = (
            (py * hy, pz * hz, hy, hz)
            if axis == 0
            else ((px * hx, pz * hz, hx, hz) if axis == 1 else (px * hx, py * hy, hx, hy))
        )
    facing = -(nx * dx + ny * dy + nz * dz)
    # A pixel's footprint is an ellipse; the geometric mean of its axes neither blurs nor aliases.
    width = width / math.sqrt(max(facing, 0.05))
    red, green, blue = albedo(
        solids.pattern[i],
        solids.scale_m[i],
        solids.colours,
        i,
        solids.seed[i],
        px * hx,
        py * hy,
        pz * hz,
        u,
        v,
        hu,
        hv,
        width,
    )
    er, eg, eb = _gathered(lightmap, i, face, a, b)
    highlight = 0.0
    sx, sy, sz = light.to_sun[0], light.to_sun[1], light.to_sun[2]
    if nx * sx + ny * sy + nz * sz > 0.0:
        lx, ly, lz = _towards_disc(sx, sy, sz, light.sun_radius_rad, sun_x, sun_y)
        lambert = nx * lx + ny * ly + nz * lz
        if lambert > 0.0:
            _, blocker, _ = first_hit(
                solids,
                x + SURFACE_OFFSET_M * nx,
                y + SURFACE_OFFSET_M * ny,
                z + SURFACE_OFFSET_M * nz,
                lx,
                ly,
                lz,
                np.inf,
                True,
            )
            if blocker < 0:
                er += light.sun[0] * lambert
                eg += light.sun[1] * lambert
                eb += light.sun[2] * lambert
                if solids.gloss[i] > 0.0:
                    vx, vy, vz = lx - dx, ly - dy, lz - dz
                    cosine = (nx * vx + ny * vy + nz * vz) / math.sqrt(vx * vx + vy * vy + vz * vz)
                    highlight = solids.gloss[i] * max(cosine, 0.0) ** 60
    return (
        max(red, 0.0) * er + highlight * light.sun[0],
        max(green, 0.0) * eg + highlight * light.sun[1],
        max(blue, 0.0) * eb + highlight * light.sun[2],
    )


@kernel
@no_type_check
def _towards_disc(sx, sy, sz, radius, u, v):
    """Direction to a point of the sun's disc, from two numbers in [0, 1)."""
    length = math.hypot(sx, sy) + 1e-9
    ax, ay = -sy / length, sx / length  # horizontal, perpendicular to the sun's direction
    bx, by, bz = -sz * ay, sz * ax, sx * ay - sy * ax
    r, turn = radius * math.sqrt(u), 2.0 * math.pi * v
    p, q = r * math.cos(turn), r * math.sin(turn)
    return sx + p * ax + q * bx, sy + p * ay + q * by, sz + q * bz


@compiled(parallel=True)
@no_type_check
def _gather(solids, lightmap, light, owner, face, a, b, strata, seed, light_in, outside):
    """One bounce: cosine-weighted mean radiance over the hemisphere of every texel."""
    for k in prange(owner.shape[0]):
        i = owner[k]
        px, py, pz = surface_at(solids.shape[i], face[k], a[k], b[k])
        nx, ny, nz = normal_at(solids, i, face[k], px, py, pz)
        # World point by the inverse of unit_from_world, which is diag(1 / half_size) R^T.
        m = solids.unit_from_world
        gx = px * solids.half_size[i, 0] ** 2
        gy = py * solids.half_size[i, 1] ** 2
        gz = pz * solids.half_size[i, 2] ** 2
        cx = solids.half_size[i, 0] ** 2 * m[i, 0, 3]
        cy = solids.half_size[i, 1] ** 2 * m[i, 1, 3]
        cz = solids.half_size[i, 2] ** 2 * m[i, 2, 3]
        gx, gy, gz = gx - cx, gy - cy, gz - cz
        x = m[i, 0, 0] * gx + m[i, 1, 0] * gy + m[i, 2, 0] * gz + SURFACE_OFFSET_M * nx
        y = m[i, 0, 1] * gx + m[i, 1, 1] * gy + m[i, 2, 1] * gz + SURFACE_OFFSET_M * ny
        z = m[i, 0, 2] * gx + m[i, 1, 2] * gy + m[i, 2, 2] * gz + SURFACE_OFFSET_M * nz

        sign = 1.0 if nz >= 0.0 else -1.0  # a frame around n (Duff et al., JCGT 6(1), 2017)
        c = -1.0 / (sign + nz)
        d = nx * ny * c
        tx, ty, tz = 1.0 + sign * nx * nx * c, sign * d, -sign * nx
        bx, by, bz = d, sign + ny * ny * c, -ny
        shift_u, shift_v = uniform(k, 0, 5, seed), uniform(k, 1, 5, seed)
        red, green, blue = 0.0, 0.0, 0.0
        for s in range(strata * strata):
            r2 = ((s // strata + shift_u) / strata) % 1.0
            turn = 2.0 * math.pi * ((s % strata + shift_v) / strata)
            r, up = math.sqrt(r2), math.sqrt(1.0 - r2)
            p, q = r * math.cos(turn), r * math.sin(turn)
            dx = p * tx + q * bx + up * nx
            dy = p * ty + q * by + up * ny
            dz = p * tz + q * bz + up * nz
            t, hit, inside = first_hit(solids, x, y, z, dx, dy, dz, np.inf, False)
            if inside:
                outside[k] = False
                break
            if hit < 0:
                colour = sky(light, dx, dy, dz, 0.2)
            else:
                colour = shade(
                    solids,
                    lightmap,
                    light,
                    hit,
                    x + t * dx,
                    y + t * dy,
                    z + t * dz,
                    dx,
                    dy,
                    dz,
                    _BAKE_FOOTPRINT_M,
                    0.0,
                    0.0,
                )
            red, green, blue = red + colour[0], green + colour[1], blue + colour[2]
        light_in[k, 0] = red / (strata * strata)
        light_in[k, 1] = green / (strata * strata)
        light_in[k, 2] = blue / (strata * strata)


def bake(
    solids: Solids,
    light: Light,
    *,
    texel_m: Float64[np.ndarray, " n"],
    bounces: int,
    strata: int,
    seed: int,
) -> Lightmap:
    """Lightmap of skylight and interreflection.

    Args:
        texel_m: edge length of each solid's texels, metres (at most 64 per side of a face).
        bounces: number of gathering passes; 1 gives skylight and one reflection of sunlight.
        strata: square root of the rays per texel in the last bounce, at least 2.
        seed: of the jitter that decorrelates the rays of neighbouring texels.

    Source: the gathering form of radiosity (Cohen and Greenberg, SIGGRAPH 1985), by ray casting.
    """
    extent = 2.0 * solids.half_size
    axes = np.array([[1, 2], [1, 2], [0, 2], [0, 2], [0, 1], [0, 1]])
    least = solids.least_texels[:, None, None]
    size = np.clip(np.ceil(extent[:, axes] / texel_m[:, None, None]), least, 64).astype(np.int64)
    count = size.prod(2)
    start = (count.cumsum() - count.ravel()).reshape(count.shape)
    owner = np.repeat(np.arange(len(count)), count.sum(1))
    face = np.repeat(np.tile(np.arange(6), len(count)), count.ravel())
    place = np.arange(count.sum()) - start[owner, face]
    across, up = size[owner, face].T
    a = 2.0 * (place % across + 0.5) / across - 1.0
    b = 2.0 * (place // across + 0.5) / up - 1.0

    texels = np.zeros((len(owner), 3), np.float32)
    for bounce in range(bounces):
        light_in = np.zeros_like(texels)
        outside = np.ones(len(owner), np.bool_)
        _gather(
            solids,
            Lightmap(start=start, size=size, texels=texels),
            light,
            owner,
            face,
            a,
            b,
            strata if bounce == bounces - 1 else strata // 2,  # only the last is visible
            seed + bounce,
            light_in,
            outside,
        )
        _smooth(start, size, light_in, outside, texels)
    return Lightmap(start=start, size=size, texels=texels)


@compiled()
@no_type_check
def _smooth(start, size, light_in, outside, texels):
    """3x3 box filter within each face, without the texels buried in another solid."""
    for i in range(start.shape[0]):
        for face in range(6):
            nu, nv, first = size[i, face, 0], size[i, face, 1], start[i, face]
            for v in range(nv):
                for u in range(nu):
                    count, red, green, blue = 0, 0.0, 0.0, 0.0
                    for q in range(v - 1, v + 2):
                        row = first + min(max(q, 0), nv - 1) * nu  # clamped at the edge
                        for p in range(u - 1, u + 2):
                            k = row + min(max(p, 0), nu - 1)
                            if outside[k]:
                                count += 1
                                red += light_in[k, 0]
                                green += light_in[k, 1]
                                blue += light_in[k, 2]
                    share = 1.0 / max(count, 1)
                    place = first + v * nu + u
                    texels[place, 0] = red * share
                    texels[place, 1] = green * share
                    texels[place, 2] = blue * share
