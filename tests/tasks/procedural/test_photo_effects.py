"""Photo effects against closed forms."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float64, UInt8
from scipy.special import erf

from tasks.procedural.photo_effects import PhotoEffects, draw_effects, exposed

NONE = PhotoEffects(
    exposure_ev=0.0,
    white_balance=(1.0, 1.0, 1.0),
    blur_px=0.0,
    shot_noise=0.0,
    read_noise=0.0,
    jpeg_quality=95,
    noise_seed=0,
)


def even(level: int, size: int = 8) -> UInt8[np.ndarray, "h w 3"]:
    return np.full((size, size, 3), level, np.uint8)


def light(level: Float64[np.ndarray, "*any"] | float) -> Float64[np.ndarray, "*any"]:
    """Linear light of levels above 10, from the standard's formula."""
    return np.asarray(((np.asarray(level) / 255.0 + 0.055) / 1.055) ** 2.4)


def test_zero_effects_leave_every_pixel_value_unchanged() -> None:
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    np.testing.assert_array_equal(exposed(ramp, NONE), ramp)


@given(steps=st.floats(-1.0, 1.0), level=st.integers(60, 180))
def test_one_stop_of_exposure_doubles_the_light(steps: float, level: int) -> None:
    found = exposed(even(level), dataclasses.replace(NONE, exposure_ev=steps))
    expected = np.clip(float(light(level)) * 2.0**steps, 0.0, 1.0)
    assert abs(1.055 * expected ** (1 / 2.4) - 0.055 - found[0, 0, 0] / 255.0) < 0.51 / 255.0


def test_white_balance_scales_each_channel_of_the_light() -> None:
    found = exposed(even(120), dataclasses.replace(NONE, white_balance=(1.2, 1.0, 0.7)))
    np.testing.assert_allclose(
        light(found[0, 0].astype(float)),
        float(light(120.0)) * np.array([1.2, 1.0, 0.7]),
        rtol=0.015,
    )


def test_a_blurred_edge_is_the_error_function() -> None:
    picture = np.full((9, 64, 3), 40, np.uint8)
    picture[:, 32:] = 200
    found = exposed(picture, dataclasses.replace(NONE, blur_px=2.5))
    x = np.arange(64) - 31.5
    share = 0.5 * (1.0 + erf(x / (2.5 * np.sqrt(2.0))))
    expected = light(40.0) + share * (light(200.0) - light(40.0))
    np.testing.assert_allclose(light(found[4, :, 1].astype(float)), expected, atol=0.006)


def test_noise_has_the_variance_of_shot_and_read_noise() -> None:
    noisy = dataclasses.replace(NONE, shot_noise=2e-3, read_noise=0.01)
    for level in (90, 180):
        found = light(exposed(even(level, 200), noisy).astype(float))
        assert found.mean() == pytest.approx(float(light(level)), rel=0.01)
        expected = 2e-3 * float(light(level)) + 0.01**2
        assert found.var() == pytest.approx(expected, rel=0.03)


def test_noise_is_determined_by_its_seed() -> None:
    noisy = dataclasses.replace(NONE, read_noise=0.02)
    np.testing.assert_array_equal(exposed(even(99), noisy), exposed(even(99), noisy))
    other = exposed(even(99), dataclasses.replace(noisy, noise_seed=1))
    assert (other != exposed(even(99), noisy)).any()


def test_random_effects_are_small_and_determined_by_their_seed() -> None:
    for seed in range(50):
        effects = draw_effects(seed, 20)
        assert effects == draw_effects(seed, 20)
        assert len({e.jpeg_quality for e in effects}) == 1
        for e in effects:
            assert abs(e.exposure_ev) < 1.0
            assert all(0.85 < gain < 1.18 for gain in e.white_balance)
            assert 0.0 <= e.blur_px < 0.9
    assert draw_effects(1, 20) != draw_effects(2, 20)
