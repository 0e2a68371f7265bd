"""Calibration against scipy, by hand and by its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from tasks.metrics.calibration import ause_over_random, spearman

VALUES = arrays(np.float64, 30, elements=st.integers(0, 12).map(float))


@given(confidence=VALUES, error=VALUES)
def test_spearman_matches_scipy(confidence: np.ndarray, error: np.ndarray) -> None:
    found = spearman(confidence.reshape(5, 6), error.reshape(5, 6))
    if np.ptp(confidence) == 0 or np.ptp(error) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(-confidence, error).statistic, abs=1e-12)


def test_the_sparsification_area_matches_a_value_computed_by_hand() -> None:
    error = np.array([1.0, 2.0, 6.0])
    # Remaining means: by error 3, 1.5, 1; by this confidence 3, 3.5, 1; at random 3, 3, 3.
    found = ause_over_random(np.array([0.9, 0.1, 0.5]), error)
    by_error, by_confidence = (3 + 1.5 + 1) / 3, (3 + 3.5 + 1) / 3
    assert found == pytest.approx((by_confidence - by_error) / (3 - by_error))


@given(error=VALUES)
def test_the_sparsification_area_is_0_for_perfect_and_1_for_constant_confidence(
    error: np.ndarray,
) -> None:
    if np.ptp(error) == 0:
        assert np.isnan(ause_over_random(-error, error))
        return
    assert ause_over_random(-error, error) == pytest.approx(0, abs=1e-9)
    assert ause_over_random(np.ones_like(error), error) == pytest.approx(1)
    assert ause_over_random(error, error) > 1


@given(confidence=VALUES, error=VALUES, seed=st.integers(0, 99))
def test_calibration_does_not_depend_on_pixel_order(
    confidence: np.ndarray, error: np.ndarray, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(30)
    assert ause_over_random(confidence[order], error[order]) == pytest.approx(
        ause_over_random(confidence, error), nan_ok=True
    )


def test_random_confidence_has_no_correlation_with_the_error() -> None:
    generator = np.random.default_rng(0)
    confidence, error = generator.random((2, 20_000)).astype(np.float32)
    assert ause_over_random(confidence, error) == pytest.approx(1, abs=0.05)
    assert spearman(confidence, error) == pytest.approx(0, abs=0.03)
