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


def test_a_figure_that_one_stage_lacks_has_no_gain() -> None:
    rows = [
        row("splat", "a", 20.0) | {"st_lpips": 0.5, "lpips": None, "edge_energy": 0.75},
        row("refine", "a", 21.0) | {"st_lpips": 0.25, "lpips": 0.1, "edge_energy": 0.5},
    ]
    (gain,) = paired_gains(rows, before="splat", after="refine")
    assert (gain.st_lpips, gain.edge_energy, gain.lpips) == (-0.25, -0.25, None)


def test_the_interval_is_that_of_a_t_test_of_the_scenes_means() -> None:
    scenes = [[0.5, 1.5], [0.25], [2.0, 0.0, 1.0], [1.75]]
    expected = stats.ttest_1samp([1.0, 0.25, 1.0, 1.75], 0).confidence_interval(0.95)
    found = clustered_interval(scenes)
    assert found.mean == 1.0
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_single_scene_says_nothing_of_others() -> None:
    found = clustered_interval([[1.0, 2.0]])
    assert found.mean == 1.5
    assert np.isnan(found.low)
    assert np.isnan(found.high)


GAMMA, LOGNORMAL = stats.gamma(2), stats.lognorm(0.8)
DISTRIBUTIONS = {
    "normal": (stats.norm(), 1, 0.94, 0.96),
    "skewed": (GAMMA, 1, 0.92, 0.96),
    "skewed downwards": (GAMMA, -1, 0.92, 0.96),
    "heavy tails": (stats.t(3), 1, 0.94, 0.97),
    "a few scenes gain far more": (LOGNORMAL, 1, 0.89, 0.95),
}
"""Gains of scenes: frozen distribution, sign, and the bounds of the coverage."""
PHOTOS, WITHIN_DB = 15, 0.8
TRIALS = 1500


@pytest.mark.parametrize("scenes", [3, 5, 10])
@pytest.mark.parametrize("between_db", [0.3, 0.8])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_interval_covers_the_true_mean_as_often_as_it_says(
    name: str, between_db: float, scenes: int
) -> None:
    drawn, sign, least, most = DISTRIBUTIONS[name]
    random = np.random.default_rng([scenes, round(10 * between_db)])
    gains = sign * (drawn.rvs((TRIALS, scenes, 1), random_state=random) - drawn.mean())
    gains = between_db * gains / drawn.std()
    photos = gains + random.normal(0, WITHIN_DB, (TRIALS, scenes, PHOTOS))
    covered = 0
    for trial in photos:
        found = clustered_interval(trial.tolist())
        covered += found.low <= 0 <= found.high
    noise = 3 * np.sqrt(0.95 * 0.05 / TRIALS)  # three standard errors of the share
    assert least - noise < covered / TRIALS < most + noise


def test_clusters_have_equal_weight_whatever_their_size() -> None:
    assert clustered_interval([[1.0], [3.0] * 99]).mean == 2.0


@pytest.mark.parametrize("nothing", [[], [[1.0], []]])
def test_an_empty_sample_has_no_mean(nothing: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="no mean"):
        clustered_interval(nothing)
