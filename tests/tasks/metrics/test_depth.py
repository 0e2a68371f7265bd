"""Depth errors of maps written by hand."""

import numpy as np
import pytest

from tasks.metrics.depth import score_depth


def test_depth_errors_are_relative_and_cover_pixels_known_in_both_maps() -> None:
    reference = np.array([[2.0, 2.0, 2.0, 0.0], [2.0, 2.0, 4.0, np.nan]])
    rendered = np.array([[1.0, 1.04, 0.9, 5.0], [0.0, np.inf, 2.02, 1.0]])

    score = score_depth(rendered, reference, reference_from_model_scale=2.0)

    assert score.pixels == 4  # relative errors 0, 0.04, 0.1, 0.01
    assert score.coverage == pytest.approx(4 / 6)
    assert score.median_relative_error == pytest.approx(0.025)
    assert score.within_5_percent == pytest.approx(0.75)


def test_a_wrong_depth_scale_is_an_error() -> None:
    depth = np.full((3, 4), 1.5)
    score = score_depth(depth, depth, reference_from_model_scale=1.1)
    assert score.median_relative_error == pytest.approx(0.1)
    assert score.within_5_percent == 0.0


def test_maps_without_common_pixels_give_no_errors() -> None:
    for reference in (np.zeros((2, 2)), np.ones((2, 2))):
        score = score_depth(np.zeros((2, 2)), reference, reference_from_model_scale=1.0)
        assert (score.pixels, score.coverage) == (0, 0.0)
        assert np.isnan(score.median_relative_error)
        assert np.isnan(score.within_5_percent)
