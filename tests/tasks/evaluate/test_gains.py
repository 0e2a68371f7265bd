"""Paired differences, against scipy's paired test and by hand."""

import numpy as np
import pytest
from scipy import stats

from tasks.evaluate.gains import mean_interval, paired_gains, share_worse


def row(stage: str, view: str, psnr_db: float, ssim: float = 0.5, split: str = "held_out") -> dict:
    return {"stage": stage, "view": view, "split": split, "psnr_db": psnr_db, "ssim": ssim}


ROWS = (
    row("splat", "a", 20.0, 0.6),
    row("refine", "a", 21.5, 0.7),
    row("splat", "b", 25.0),
    row("refine", "b", 24.0),
    row("refine", "only after", 30.0),
    row("splat", "only before", 30.0),
    row("splat", "seen", 30.0, split="train"),
    row("refine", "seen", 10.0, split="train"),
)


def test_views_are_paired_by_name_and_training_views_left_out() -> None:
    gains = paired_gains(ROWS, before="splat", after="refine")
    assert [(gain.view, gain.psnr_db) for gain in gains] == [("a", 1.5), ("b", -1.0)]
    assert gains[0].ssim == pytest.approx(0.1)
    assert share_worse(gains) == 0.5


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    before, after = np.random.default_rng(0).normal(20, 1, (2, 9))
    found = mean_interval(list(after - before))
    expected = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_value_has_an_interval_without_width_and_none_has_no_mean() -> None:
    found = mean_interval([2.0])
    assert (found.low, found.mean, found.high) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="no mean"):
        mean_interval([])
