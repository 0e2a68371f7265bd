"""Band-limited noise on the CPU: hashed lattices, fractal sums that fade with the pixel footprint.

The kernels are scalar and compiled; they are called from other kernels. ``no_type_check`` keeps the
test run's shape checks away from functions that numba compiles.
"""

from typing import no_type_check

import numpy as np

from tasks.runtime.jit import compiled

# Kernels allocate nothing, so they need no counts of references to their arrays. Without this
# option numba counts atomically at every call, which made rays and shading twice as slow.
kernel = compiled(_nrt=False)

_MASK = 0xFFFFFFFF


@kernel
@no_type_check
def hash_cell(i, j, k, seed):
    """A 32-bit hash of a lattice cell. Products wrap in int64; only their low 32 bits are kept."""
    h = (
        (i * 0x9E3779B1) ^ (j * 0x85EBCA77) ^ (k * 0xC2B2AE3D) ^ (seed * 0x27D4EB2F + 0x165667B1)
    ) & _MASK
    h ^= h >> 15
    h = (h * 0x2C1B3C6D) & _MASK
    h ^= h >> 12
    h = (h * 0x297A2D39) & _MASK
    return h ^ (h >> 15)


@kernel
@no_type_check
def uniform(i, j, k, seed):
    """Uniform number in [0, 1), hashed from a lattice cell."""
    return hash_cell(i, j, k, seed) * (1.0 / 4294967296.0)


@kernel
@no_type_check
def _slope(h, x, y, z):
    """Dot product with a gradient taken from the hash, ten bits per component.

    Perlin's choice among twelve edges needs branches that processors mispredict; this needs none.
    """
    return (
        ((h & 1023) - 511.5) * x + ((h >> 10 & 1023) - 511.5) * y + ((h >> 20 & 1023) - 511.5) * z
    ) * (1.0 / 400.0)


@kernel
@no_type_check
def gradient_noise(x, y, z, seed):
    """Gradient noise in about [-1, 1], zero on the integer lattice (Perlin, SIGGRAPH 2002)."""
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    x, y, z = x - i, y - j, z - k
    u = x * x * x * (x * (x * 6.0 - 15.0) + 10.0)
    v = y * y * y * (y * (y * 6.0 - 15.0) + 10.0)
    w = z * z * z * (z * (z * 6.0 - 15.0) + 10.0)
    a = _slope(hash_cell(i, j, k, seed), x, y, z)
    b = _slope(hash_cell(i + 1, j, k, seed), x - 1, y, z)
    c = _slope(hash_cell(i, j + 1, k, seed), x, y - 1, z)
    d = _slope(hash_cell(i + 1, j + 1, k, seed), x - 1, y - 1, z)
    near = a + u * (b - a)
    near += v * (c + u * (d - c) - near)
    a = _slope(hash_cell(i, j, k + 1, seed), x, y, z - 1)
    b = _slope(hash_cell(i + 1, j, k + 1, seed), x - 1, y, z - 1)
    c = _slope(hash_cell(i, j + 1, k + 1, seed), x, y - 1, z - 1)
    d = _slope(hash_cell(i + 1, j + 1, k + 1, seed), x - 1, y - 1, z - 1)
    far = a + u * (b - a)
    far += v * (c + u * (d - c) - far)
    return near + w * (far - near)


@kernel
@no_type_check
def visible(wavelength, footprint):
    """Weight of a wave: 1 for wavelengths from four footprints on, 0 below two (Nyquist)."""
    t = min(max(wavelength / footprint * 0.5 - 1.0, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@kernel
@no_type_check
def fractal(x, y, z, seed, octaves, footprint):
    """Octaves of gradient noise at doubling frequency, each 0.6 of the last; about [-1, 1].

    ``footprint`` is the width of a sample in the units of ``x``. Octaves beyond its Nyquist limit
    are left out, so a surface tends to its mean with distance instead of aliasing.
    """
    total, amplitude, frequency = 0.0, 1.0, 1.0
    for octave in range(octaves):
        share = visible(1.0 / frequency, footprint)
        if share <= 0.0:
            break
        wave = gradient_noise(x * frequency, y * frequency, z * frequency, seed + octave)
        total += amplitude * share * wave
        amplitude *= 0.6
        frequency *= 2.03  # not 2: the zeros of the octaves' lattices must not coincide
    return total


@kernel
@no_type_check
def cells(x, y, seed):
    """Distances to the two nearest feature points (one per unit square), and the nearest's hash.

    Source: Worley, A cellular texture basis function, SIGGRAPH 1996.
    """
    i, j = int(np.floor(x)), int(np.floor(y))
    first, second, owner = 9.0, 9.0, 0
    for a in range(i - 1, i + 2):
        for b in range(j - 1, j + 2):
            h = hash_cell(a, b, 0, seed)
            u = a + 0.5 + 0.8 * ((h & 0xFFFF) / 65536.0 - 0.5) - x
            v = b + 0.5 + 0.8 * ((h >> 16) / 65536.0 - 0.5) - y
            square = u * u + v * v
            second = min(second, max(first, square))
            owner = h if square < first else owner
            first = min(first, square)
    return np.sqrt(first), np.sqrt(second), owner
