"""Procedural textures: the albedo of a solid at a point.

A pattern is a function of the point on the solid in metres, so it needs no image and is consistent
across views. Edges are filtered over the pixel footprint, and noise fades with it.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import no_type_check

import numpy as np
from jaxtyping import Float64

from tasks.procedural.noise import (
    cells,
    fractal,
    gradient_noise,
    hash_cell,
    kernel,
    uniform,
    visible,
)


class Pattern(IntEnum):
    PLASTER = 0
    BRICK = 1
    PLANKS = 2
    MARBLE = 3
    TILES = 4
    RUG = 5
    POSTER = 6
    FABRIC = 7
    COBBLES = 8
    FOLIAGE = 9
    SPINE = 10
    PANEL = 11
    PANE = 12
    PLAIN = 13
    SPECKLE = 14
    SIDING = 15
    SHINGLES = 16
    GLYPHS = 17
    PRINT = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A pattern with its colours (``#rrggbb``, sRGB) and the size of its elements."""

    pattern: Pattern
    colours: tuple[str, str, str]
    scale_m: float
    gloss: float = 0.0  # fraction of sunlight in the specular highlight, 0..1


def surface(
    pattern: Pattern, scale_m: float, first: str, second: str, third: str, gloss: float = 0.0
) -> Material:
    return Material(pattern=pattern, colours=(first, second, third), scale_m=scale_m, gloss=gloss)


def poster(first: str, second: str, frame: str) -> Material:
    return surface(Pattern.POSTER, 0.1, first, second, frame)


def flowers(scale_m: float, blossom: str) -> Material:
    return surface(Pattern.FOLIAGE, scale_m, "#3c5f2e", "#7d9c48", blossom)


def linear_rgb(colour: str) -> Float64[np.ndarray, "3"]:
    """``#rrggbb`` to linear light, 0..1 (IEC 61966-2-1)."""
    encoded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


@kernel
@no_type_check
def _ramp(x, width):
    """Linear step from 0 to 1 at ``x = 0``, over ``width``."""
    return min(max(x / width + 0.5, 0.0), 1.0)


@kernel
@no_type_check
def _mix(a, b, t):
    return (a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2]))


@kernel
@no_type_check
def _times(a, t):
    return (a[0] * t, a[1] * t, a[2] * t)


@kernel
@no_type_check
def _vivid(h):
    """Saturated colour from a hash; sines 120 degrees apart cover the hues."""
    hue = 2.0 * math.pi * ((h & 0xFFF) / 4096.0)
    value = 0.12 + 0.38 * (((h >> 12) & 0xFF) / 256.0)
    depth = 0.3 + 0.45 * (((h >> 20) & 0xFF) / 256.0)
    return (
        value * (1.0 + depth * math.sin(hue)),
        value * (1.0 + depth * math.sin(hue + 2.0944)),
        value * (1.0 + depth * math.sin(hue + 4.1888)),
    )


@kernel
@no_type_check
def _motif(x, y, h, width):
    """Coverage of one of five figures in the square [-1, 1]^2."""
    figure = h % 5
    size = 0.5 + 0.3 * ((h >> 8 & 0xFF) / 256.0)
    if figure == 0:
        return _ramp(size - math.hypot(x, y), width)
    if figure == 1:
        return _ramp(0.5 * size - abs(math.hypot(x, y) - 0.62), width)
    if figure == 2:
        return _ramp(size - abs(x) - abs(y), 1.4 * width)
    if figure == 3:
        return max(
            _ramp(0.22 - abs(x), width) * _ramp(size - abs(y), width),
            _ramp(0.22 - abs(y), width) * _ramp(size - abs(x), width),
        )
    return _ramp(size - max(abs(x), abs(y)), width) * _ramp(
        max(abs(x + 0.2), abs(y - 0.1)) - 0.3, width
    )


@kernel
@no_type_check
def _specks(u, v, pitch, share, seed, width):
    """Coverage of small dots, in a fraction ``share`` of the cells of a grid of ``pitch``."""
    near, _, owner = cells(u / pitch, v / pitch, seed)
    if (owner & 0xFFFF) > share * 65536.0:
        return 0.0
    size = 0.16 + 0.2 * (owner >> 16) / 65536.0
    return _ramp(size - near, max(width / pitch, 0.08)) * visible(pitch, width)


@kernel
@no_type_check
def _poster(u, v, hu, hv, seed, width, c0, c1, c2):
    """Seeded abstract picture: a gradient, overlapping figures, a frame."""
    x, y = u / hu, v / hv
    pixel = width / min(hu, hv)
    colour = _mix(c0, c1, 0.5 + 0.5 * y)
    for n in range(11):
        h = hash_cell(n, 3, 1, seed)
        a = 1.7 * ((h & 0xFF) / 255.0 - 0.5)
        b = 1.7 * ((h >> 8 & 0xFF) / 255.0 - 0.5)
        size = 0.16 + 0.5 * ((h >> 16 & 0xFF) / 255.0) / (1.0 + 0.15 * n)
        turn = 0.0245 * (h >> 24)
        c, s = math.cos(turn), math.sin(turn)
        p, q = (x - a) / size, (y - b) / size
        cover = _motif(c * p + s * q, c * q - s * p, hash_cell(n, 4, 1, seed), pixel / size)
        if cover > 0.0:
            colour = _mix(colour, _vivid(hash_cell(n, 5, 1, seed)), 0.92 * cover)
    grain = fractal(9.0 * u / hu, 9.0 * v / hu, 0.5, seed, 3, 9.0 * pixel)
    colour = _times(colour, 1.0 + 0.28 * grain)
    edge = min(hu - abs(u), hv - abs(v))
    return _mix(c2, colour, _ramp(edge - 0.035, width))


@kernel
@no_type_check
def _glyph(p, q, h, width):
    """Ink of a letter-like figure in the unit square: up to six strokes, or a space."""
    if h % 6 == 0:
        return 0.0
    upright = _ramp(0.42 - abs(q - 0.5), width)
    level = _ramp(0.3 - abs(p - 0.45), width)
    ink = _ramp(0.08 - abs(p - 0.22), width) * upright
    if h & 0x40:
        ink = max(ink, _ramp(0.08 - abs(p - 0.68), width) * upright)
    if h & 0x80:
        ink = max(ink, _ramp(0.07 - abs(q - 0.85), width) * level)
    if h & 0x100:
        ink = max(ink, _ramp(0.07 - abs(q - 0.5), width) * level)
    if h & 0x200:
        ink = max(ink, _ramp(0.07 - abs(q - 0.15), width) * level)
    if h & 0x400:
        ink = max(ink, _ramp(0.08 - abs(p - 0.22 - 0.46 * q), width) * upright)
    return ink


@kernel
@no_type_check
def _page(u, v, hu, hv, scale, seed, width, c0, c1, c2):
    """Lines of letter-like figures under a headline, on paper of ``c0`` in inks ``c1`` and ``c2``.

    ``scale`` is the height of a line; the headline's is three times that.
    """
    headline = hv - v < 0.3 * hv + 1.5 * scale
    line = 3.0 * scale if headline else scale
    ink = c2 if headline else c1
    row = math.floor((hv - v) / line)
    q = 1.0 - ((hv - v) / line - row)
    along = (u + hu) / (0.62 * line)
    column = math.floor(along)
    h = hash_cell(column, row, 9, seed)
    pixel = width / line
    cover = _glyph(along - column, 1.35 * q - 0.1, h, 1.5 * pixel)
    cover = 0.28 + (cover - 0.28) * visible(0.62 * line, width)
    ragged = 2.0 * hu * (0.7 + 0.3 * uniform(row, 1, 9, seed)) - hu
    margin = min(min(hu + u, ragged - u), hv - abs(v)) - 0.8 * scale
    yellowed = 1.0 + 0.12 * fractal(3.0 * u / hu, 3.0 * v / hu, 0.5, seed, 4, 3.0 * width / hu)
    return _mix(_times(c0, yellowed), ink, 0.9 * cover * _ramp(margin, width))


@kernel
@no_type_check
def _print(u, v, hu, hv, seed, width, c0, c1, c2):
    """A picture with soft gradients, like a photograph of hills, in a pale frame."""
    x, y = u / hu, v / hu
    top, pixel = hv / hu, width / hu
    haze = fractal(1.4 * x, 2.2 * y, 0.5, seed, 4, 2.2 * pixel)
    colour = _mix(c1, c0, min(max(0.5 + 0.5 * y / top + 0.3 * haze, 0.0), 1.0))
    sun_x, sun_y = 1.4 * uniform(0, 0, 8, seed) - 0.7, top * (0.2 + 0.6 * uniform(1, 0, 8, seed))
    glow = math.exp(-4.0 * ((x - sun_x) ** 2 + (y - sun_y) ** 2))
    colour = _mix(colour, (0.9, 0.78, 0.55), 0.6 * glow)
    for layer in range(4):
        ridge = top * (0.25 - 0.38 * layer)
        ridge += 0.35 * fractal((1.0 + layer) * x, 7.0 * layer, 0.5, seed + 3, 4, pixel)
        land = _mix(colour, _vivid(hash_cell(layer, 6, 1, seed)), 0.3 + 0.15 * layer)
        rough = 4.0 + 5.0 * layer
        grain = fractal(rough * x, rough * y, 0.5, seed + layer, 4, rough * pixel)
        land = _times(_mix(land, c2, 0.35), 1.0 + 0.45 * grain)
        colour = _mix(colour, land, _ramp(ridge - y, max(1.5 * pixel, 0.01)))
    edge = min(hu - abs(u), hv - abs(v))
    return _mix((0.72, 0.7, 0.66), colour, _ramp(edge - 0.05 * min(hu, hv), width))


@kernel
@no_type_check
def albedo(pattern, scale, colours, i, seed, x, y, z, u, v, hu, hv, width):
    """Linear RGB reflectance of a point of solid ``i`` of ``colours``.

    ``x y z`` is the point in the solid's axes and ``u v`` its place on the face, from the face's
    centre; ``hu hv`` are half the face's extents; ``width`` is the sample's footprint. Metres.
    """
    c0 = (colours[i, 0, 0], colours[i, 0, 1], colours[i, 0, 2])
    c1 = (colours[i, 1, 0], colours[i, 1, 1], colours[i, 1, 2])
    c2 = (colours[i, 2, 0], colours[i, 2, 1], colours[i, 2, 2])
    w = width / scale
    if pattern == Pattern.PLASTER:
        n = fractal(x / scale, y / scale, z / scale, seed, 5, w)
        stain = fractal(0.35 * x / scale + 7.3, 0.35 * y / scale, 0.35 * z / scale, seed, 2, w)
        colour = _mix(c0, c1, _ramp(stain - 0.12, 0.5))
        colour = _times(colour, 1.0 + 0.34 * n)
        return _mix(colour, c2, 0.35 * _specks(u, v, 0.16 * scale, 0.25, seed, width))
    if pattern == Pattern.BRICK:
        row = math.floor(v / (0.34 * scale))
        along = u / scale + 0.5 * (row & 1)
        column = math.floor(along)
        p, q = (along - column) * scale, v - row * 0.34 * scale
        edge = min(min(p, scale - p), min(q, 0.34 * scale - q))
        h = hash_cell(column, row, 0, seed)
        n = fractal(3 * x / scale, 3 * y / scale, 3 * z / scale, seed, 4, 3 * w)
        colour = _mix(c0, c1, (h & 0xFF) / 255.0)
        colour = _times(colour, (0.62 + 0.7 * ((h >> 8 & 0xFF) / 255.0)) * (1.0 + 0.4 * n))
        mortar = _times(c2, 1.0 + 0.35 * n)
        return _mix(mortar, colour, _ramp(edge - 0.028 * scale, max(width, 0.02 * scale)))
    if pattern == Pattern.PLANKS:
        row = math.floor(v / scale)
        length = 9.0 * scale
        along = u / length + uniform(row, 0, 7, seed)
        column = math.floor(along)
        q = v - row * scale
        edge = min(min(q, scale - q), min(along - column, column + 1 - along) * length)
        h = hash_cell(column, row, 1, seed)
        shift = 0.37 * (h & 0x3F)
        ring = gradient_noise(0.45 * u / scale + shift, 1.8 * v / scale, shift, seed)
        grain = fractal(
            0.8 * u / scale + shift, 9.0 * v / scale + 4.0 * ring, shift, seed, 3, 5 * w
        )
        patch = fractal(2.2 * u / scale, 3.1 * v / scale, 0.5 + shift, seed, 3, 3 * w)
        colour = _mix(c0, c1, min(max(0.5 + 0.55 * grain, 0.0), 1.0))
        tone = 0.72 + 0.5 * ((h >> 8 & 0xFF) / 255.0)
        colour = _times(colour, tone * (1.0 + 0.3 * patch))
        knot = _specks(u, 1.6 * v, 1.3 * scale, 0.12, seed, width)
        colour = _mix(colour, c2, 0.5 * knot)
        return _mix(c2, colour, _ramp(edge - 0.012 * scale, max(width, 0.02 * scale)))
    if pattern == Pattern.MARBLE:
        bend = fractal(x / scale, y / scale, z / scale, seed, 4, w)
        vein = gradient_noise(
            1.3 * x / scale + 1.6 * bend, 1.3 * y / scale - bend, 1.3 * z / scale, seed + 31
        )
        line = 1.0 - min(abs(vein) * 3.2, 1.0)
        colour = _mix(c0, c1, line * line * (0.5 + 0.5 * bend))
        cloud = fractal(2.6 * x / scale, 2.6 * y / scale, 2.6 * z / scale, seed + 9, 4, 2.6 * w)
        colour = _mix(colour, c2, _ramp(cloud - 0.28, 0.6))
        return _times(colour, 1.0 + 0.25 * cloud)
    if pattern == Pattern.TILES:
        i, j = math.floor(u / scale), math.floor(v / scale)
        p, q = u / scale - i, v / scale - j
        h = hash_cell(i, j, 0, seed)
        n = fractal(5 * u / scale, 5 * v / scale, 0.5, seed, 4, 5 * w)
        colour = c0 if (i + j) & 1 == 0 else c1
        tone = 0.75 + 0.45 * (h & 0xFF) / 255.0
        figure = _motif(2.4 * p - 1.2, 2.4 * q - 1.2, h >> 8, 2.4 * w)
        inlay = _mix(c2, _vivid(h), 0.45)
        colour = _times(_mix(colour, inlay, 0.75 * figure), tone * (1.0 + 0.3 * n))
        edge = min(min(p, 1.0 - p), min(q, 1.0 - q))
        return _mix(_times(c2, 0.5), colour, _ramp(edge - 0.018, max(w, 0.02)))
    if pattern == Pattern.RUG:
        rim = min(hu - abs(u), hv - abs(v))
        i, j = math.floor(u / scale), math.floor(v / scale)
        h = hash_cell(i, j, 0, seed)
        p, q = 2.0 * (u / scale - i) - 1.0, 2.0 * (v / scale - j) - 1.0
        ground = c0
        if rim < 2.0 * scale:
            ground = c1
        figure = _motif(p, q, h, 2.0 * w)
        colour = _mix(ground, _mix(c2, _vivid(h), 0.55), 0.9 * figure)
        heart = _ramp(0.42 - math.hypot(u / hu, v / hv), width / hv)
        star = _motif(2.6 * u / hv, 2.6 * v / hv, 8, 2.6 * width / hv)
        colour = _mix(colour, _mix(_times(c1, 0.6), c2, star), 0.75 * heart)
        band = _ramp(0.10 * scale - abs(rim - 2.0 * scale), width) + _ramp(
            0.16 * scale - abs(rim - 0.3 * scale), width
        )
        colour = _mix(colour, c2, min(band, 1.0))
        pile = fractal(40 * u, 40 * v, 0.5, seed, 2, 40 * width)
        wear = fractal(5 * u, 5 * v, 0.5, seed, 3, 5 * width)
        return _times(colour, 1.0 + 0.25 * pile + 0.25 * wear)
    if pattern == Pattern.POSTER:
        return _poster(u, v, hu, hv, seed, width, c0, c1, c2)
    if pattern == Pattern.FABRIC:
        near, second, owner = cells(u / scale, v / scale, seed)
        h = hash_cell(owner, 1, 0, seed)
        colour = _mix(c0, c1, _ramp(second - near - 0.22, max(w, 0.08)))
        leaf = _ramp(0.24 - near, max(w, 0.05))
        colour = _mix(colour, _mix(c2, _vivid(h), 0.5), leaf)
        weave = fractal(9 * u / scale, 9 * v / scale, 0.5, seed, 3, 9 * w)
        fold = fractal(1.1 * x / scale, 1.1 * y / scale, 1.1 * z / scale, seed, 3, w)
        return _times(colour, 1.0 + 0.25 * weave + 0.25 * fold)
    if pattern == Pattern.COBBLES:
        near, second, owner = cells(u / scale, v / scale, seed)
        h = hash_cell(owner, 2, 0, seed)
        colour = _mix(c0, c1, (h & 0xFF) / 255.0)
        n = fractal(3 * u / scale, 3 * v / scale, 0.5, seed, 4, 3 * w)
        colour = _times(colour, (0.65 + 0.65 * ((h >> 8 & 0xFF) / 255.0)) * (1.0 + 0.35 * n))
        joint = _ramp(second - near - 0.12, max(w, 0.1))
        colour = _mix(_times(c2, 1.0 + 0.4 * n), colour, joint)
        moss = fractal(0.3 * u / scale, 0.3 * v / scale, 0.5, seed + 5, 4, 0.3 * w)
        return _mix(colour, c2, 0.6 * _ramp(moss - 0.3, 0.3))
    if pattern == Pattern.FOLIAGE:
        n = fractal(x / scale, y / scale, z / scale, seed, 5, w)
        m = fractal(1.9 * x / scale, 1.9 * y / scale, 1.9 * z / scale, seed + 11, 3, 1.9 * w)
        colour = _mix(c0, c1, _ramp(n, 0.7))
        colour = _times(colour, 0.95 + 0.6 * m)
        bloom = _specks(u + 0.3 * z, v + 0.2 * x, 0.7 * scale, 0.22, seed, width)
        return _mix(colour, c2, 0.85 * bloom)
    if pattern == Pattern.SPINE:
        tone = 1.0 + 0.3 * fractal(x / scale, y / scale, z / scale, seed, 3, w)
        h = hash_cell(1, 2, 3, seed)
        t = v / hv
        pixel = width / hv
        colour = c0
        top = 0.35 + 0.4 * ((h & 0xFF) / 255.0)
        colour = _mix(colour, c2, _ramp(0.05 - abs(t - top), pixel))
        colour = _mix(colour, c2, _ramp(0.03 - abs(t - top + 0.16), pixel))
        colour = _mix(colour, c1, _ramp(0.16 - abs(t + 0.3), pixel))
        ticks = gradient_noise(0.5, 22.0 * t, 0.5, seed) * visible(1.0 / 22.0, pixel)
        label = _ramp(0.14 - abs(t + 0.3), pixel) * _ramp(0.6 * hu - abs(u), width)
        colour = _mix(colour, c2, label * _ramp(ticks, 0.4))
        return _times(colour, tone)
    if pattern == Pattern.PANEL:
        i, j = math.floor(u / scale), math.floor(v / scale)
        h = hash_cell(i, j, 0, seed)
        p, q = 2.0 * (u / scale - i) - 1.0, 2.0 * (v / scale - j) - 1.0
        edge = 1.0 - max(abs(p), abs(q))
        colour = _mix(c0, c1, 0.0 if (h & 3) else 1.0)
        if h & 0xC:
            colour = _mix(colour, _mix(c2, _vivid(h >> 3), 0.5), 0.9 * _motif(p, q, h >> 4, 2 * w))
        rivet = _ramp(0.1 - math.hypot(abs(p) - 0.8, abs(q) - 0.8), max(2 * w, 0.04))
        colour = _mix(colour, c2, rivet)
        wear = fractal(2.5 * x / scale, 2.5 * y / scale, 2.5 * z / scale, seed, 5, 2.5 * w)
        colour = _mix(colour, _times(c2, 0.35), 0.7 * _ramp(wear - 0.35, 0.15))
        colour = _times(colour, 1.0 + 0.25 * wear)
        return _mix(_times(c0, 0.25), colour, _ramp(edge - 0.04, max(2 * w, 0.04)))
    if pattern == Pattern.PLAIN:
        n = fractal(6.0 * x / scale, 6.0 * y / scale, 6.0 * z / scale, seed, 4, 6.0 * w)
        dirt = fractal(0.7 * x / scale, 0.7 * y / scale, 0.7 * z / scale, seed + 5, 6, 0.7 * w)
        colour = _times(_mix(c0, c1, 0.9 * _ramp(dirt - 0.1, 0.9)), 1.0 + 0.1 * n)
        return _mix(colour, c2, 0.5 * _specks(u, v, 0.12 * scale, 0.07, seed, width))
    if pattern == Pattern.SPECKLE:
        near, _, owner = cells(u / scale, v / scale, seed)
        h = hash_cell(owner, 4, 0, seed)
        share = visible(1.0, w)
        colour = _mix(c0, c1, 0.5 + ((h & 0xFF) / 255.0 - 0.5) * share)
        if h & 0x700 == 0:
            colour = _mix(colour, c2, 0.9 * share)
        colour = _times(colour, 1.0 + share * (0.25 - 0.6 * near))
        worn = fractal(0.06 * u / scale, 0.06 * v / scale, 0.5, seed + 7, 5, 0.06 * w)
        return _times(colour, 1.0 + 0.35 * worn)
    if pattern == Pattern.SIDING:
        row = math.floor(v / scale)
        q = v / scale - row
        h = hash_cell(row, 2, 0, seed)
        shift = 0.37 * (h & 0x3F)
        grain = fractal(0.7 * u / scale + shift, 6.0 * v / scale, shift, seed, 3, 4.0 * w)
        dirt = fractal(0.4 * x / scale, 0.4 * y / scale, 0.4 * z / scale, seed + 3, 4, 0.4 * w)
        colour = _mix(c0, c1, 0.8 * ((h >> 8 & 0xFF) / 255.0))
        shade = (0.86 + 0.24 * q) * (1.0 + 0.14 * grain) * (1.0 + 0.2 * dirt)
        lap = _ramp(min(q, 1.0 - q) - 0.035, max(w, 0.03))
        return _mix(_times(c2, 0.5), _times(colour, shade), lap)
    if pattern == Pattern.SHINGLES:
        pitch = 0.8 * scale
        row = math.floor(v / pitch)
        along = u / scale + 0.5 * (row & 1)
        column = math.floor(along)
        p, q = 2.0 * (along - column) - 1.0, v / pitch - row
        h = hash_cell(column, row, 3, seed)
        n = fractal(3 * u / scale, 3 * v / scale, 0.5, seed, 4, 3 * w)
        colour = _mix(c0, c1, (h & 0xFF) / 255.0)
        tone = (0.7 + 0.5 * ((h >> 8 & 0xFF) / 255.0)) * (0.75 + 0.4 * q) * (1.0 + 0.3 * n)
        tongue = min(q - 0.3 * p * p, 0.5 * (1.0 - abs(p)))  # rounded below, straight beside
        moss = fractal(0.25 * u / scale, 0.25 * v / scale, 0.5, seed + 5, 4, 0.25 * w)
        colour = _mix(_times(colour, tone), c2, 0.5 * _ramp(moss - 0.35, 0.3))
        return _mix(_times(c0, 0.22), colour, _ramp(tongue - 0.04, max(2.0 * w, 0.06)))
    if pattern == Pattern.GLYPHS:
        return _page(u, v, hu, hv, scale, seed, width, c0, c1, c2)
    if pattern == Pattern.PRINT:
        return _print(u, v, hu, hv, seed, width, c0, c1, c2)
    # Pattern.PANE: glass painted with a view-independent reflection above a curtain.
    n = fractal(u / scale + 0.5 * v / scale, v / scale, 0.5, seed, 4, w)
    colour = _mix(c0, c1, _ramp(n + 0.5 * v / hv, 0.7))
    curtain = _ramp(abs(u) - hu * (0.62 + 0.12 * v / hv), max(width, 0.02))
    fold = 0.75 + 0.25 * math.sin(46.0 * u) * visible(0.136, width)
    colour = _mix(colour, _times(c2, fold), 0.8 * curtain)
    return _times(colour, 1.0 + 0.3 * n)
