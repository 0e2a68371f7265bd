"""Paired differences, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from tasks.metrics.gains import clustered_interval, paired_gains, share_worse


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


def test_clusters_of_one_value_have_the_bootstrap_interval_of_the_mean() -> None:
    values = np.random.default_rng(0).exponential(2, 30)
    found = clustered_interval([[value] for value in values])
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.02)


def test_variance_between_and_within_clusters_adds_up() -> None:
    random = np.random.default_rng(0)
    between, within, clusters, members = 1.0, 3.0, 200, 6
    values = random.normal(0, between, (clusters, 1)) + random.normal(
        0, within, (clusters, members)
    )
    found = clustered_interval(values.tolist())
    # The law of total variance, of a draw of a cluster and then of the mean of its draws.
    variance = values.mean(1).var() + values.var(1).mean() / members
    expected = 2 * stats.norm.ppf(0.975) * np.sqrt(variance / clusters)
    assert found.high - found.low == pytest.approx(expected, rel=0.05)


def test_clusters_have_equal_weight_whatever_their_size() -> None:
    assert clustered_interval([[1.0], [3.0] * 99]).mean == 2.0


@pytest.mark.parametrize("nothing", [[], [[1.0], []]])
def test_an_empty_sample_has_no_mean(nothing: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="no mean"):
        clustered_interval(nothing)
