"""Noise against its definition, and the fading that keeps it from aliasing."""

import numpy as np
import pytest

from tasks.procedural.noise import cells, fractal, gradient_noise, hash_cell, visible


def test_gradient_noise_is_zero_on_the_lattice_and_stays_in_range() -> None:
    rng = np.random.default_rng(0)
    lattice = rng.integers(-50, 50, (200, 3))
    anywhere = rng.uniform(-50, 50, (5000, 3))

    assert all(gradient_noise(*map(float, p), 3) == 0.0 for p in lattice)
    values = np.array([gradient_noise(*p, 3) for p in anywhere])
    assert np.abs(values).max() < 1.5
    assert abs(values.mean()) < 0.03
    assert values.std() > 0.2


def test_gradient_noise_is_smooth_across_cells() -> None:
    step = 1e-5
    for x in (-3.0, 0.0, 7.0):
        left = [gradient_noise(x - step * k, 0.3, 0.6, 9) for k in (1, 2)]
        right = [gradient_noise(x + step * k, 0.3, 0.6, 9) for k in (1, 2)]
        assert left[0] == pytest.approx(right[0], abs=1e-3)
        assert (left[0] - left[1]) / step == pytest.approx((right[1] - right[0]) / step, abs=1e-3)


def test_waves_finer_than_two_pixels_vanish_and_broad_waves_are_unchanged() -> None:
    assert visible(2.0, 1.0) == 0.0
    assert visible(4.0, 1.0) == 1.0
    assert fractal(0.37, 1.21, 0.4, 5, 5, 0.51) == 0.0
    assert fractal(0.37, 1.21, 0.4, 5, 1, 0.01) == gradient_noise(0.37, 1.21, 0.4, 5)


def test_averaging_a_fine_texture_over_a_pixel_agrees_with_the_faded_texture() -> None:
    """What the footprint leaves out must be what a pixel would average away."""
    offsets = (np.arange(16) + 0.5) / 16 - 0.5
    faded, averaged = [], []
    for x in np.linspace(0.0, 20.0, 60):
        footprint = 0.35
        averaged.append(
            np.mean(
                [
                    fractal(x + footprint * a, 0.4 + footprint * b, 0.5, 2, 5, 1e-3)
                    for a in offsets
                    for b in offsets
                ]
            )
        )
        faded.append(fractal(x, 0.4, 0.5, 2, 5, footprint))
    assert np.std(averaged) > 0.1
    assert np.corrcoef(faded, averaged)[0, 1] > 0.88


def test_cell_noise_finds_the_nearest_two_points() -> None:
    def points(seed: int) -> np.ndarray:
        found = []
        for i in range(-4, 8):
            for j in range(-4, 8):
                h = hash_cell(i, j, 0, seed)
                jitter = np.array([h & 0xFFFF, h >> 16]) / 65536.0 - 0.5
                found.append(np.array([i, j]) + 0.5 + 0.8 * jitter)
        return np.array(found)

    everything = points(4)
    for x, y in np.random.default_rng(1).uniform(0, 3, (200, 2)):
        expected = np.sort(np.hypot(*(everything - [x, y]).T))[:2]
        first, second, _ = cells(x, y, 4)
        assert first == pytest.approx(expected[0], abs=1e-12)
        # Looking at nine squares, the second may be missed only where it is far away.
        assert second == pytest.approx(expected[1], abs=1e-12) or expected[1] > 0.9
