"""The predicted error, and the confidence computed from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.views.confidence import confidence, predicted_error

HINTS = ("nearest", "second", "training", "residual", "swept")


def hints(**values: float) -> dict[str, np.ndarray]:
    return {name: np.full((7, 9), values.get(name, 0.1), np.float32) for name in HINTS}


@given(value=st.floats(0, 1))
def test_the_predicted_error_of_equal_hints_is_their_value(value: float) -> None:
    found = predicted_error(**hints(**dict.fromkeys(HINTS, value)))
    np.testing.assert_allclose(found, value + 0.01, rtol=1e-4)


def test_the_predicted_error_is_a_weighted_geometric_mean() -> None:
    found = predicted_error(
        **hints(nearest=0.39, second=0.19, training=0.04, residual=0.09, swept=0.29)
    )
    by_hand = 0.4**0.2 * 0.2**0.15 * 0.05**0.1 * 0.1**0.25 * 0.3**0.3
    assert found[3, 4] == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("name", HINTS)
def test_every_hint_raises_the_predicted_error(name: str) -> None:
    assert (predicted_error(**hints(**{name: 0.3})) > predicted_error(**hints())).all()


@pytest.mark.parametrize("name", HINTS)
def test_differences_are_averaged_over_a_window_and_the_residual_is_not(name: str) -> None:
    one = np.zeros((9, 9), np.float32)
    one[4, 4] = 1.0
    found = predicted_error(**(dict.fromkeys(HINTS, np.zeros_like(one)) | {name: one}))
    assert (found > 0.0101).sum() == (1 if name == "residual" else 25)


def test_confidence_matches_values_computed_by_hand() -> None:
    alpha = np.array([[0.0, 0.25, 0.5, 1.0]], np.float32)
    error = np.full((1, 4), 0.05, np.float32)
    np.testing.assert_allclose(
        confidence(alpha, error)[0], np.array([0, 0.5, 1, 1]) / np.e, rtol=1e-6
    )


def test_confidence_lies_between_0_and_1() -> None:
    generator = np.random.default_rng(0)
    alpha, error = generator.random((2, 50, 50)).astype(np.float32)
    found = confidence(alpha, 3 * error)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
