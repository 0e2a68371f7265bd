"""Benchmarks are run by hand and seldom, so what they import may go without anybody noticing."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from flows.config import SceneConfig
from tasks.config import overridden

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(
    path for path in (ROOT / "benchmarks").glob("*.py") if "argparse" in path.read_text()
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_benchmark_starts_and_prints_its_usage(script: Path) -> None:
    said = subprocess.run(
        [sys.executable, script, "--help"],
        # Their own folder, too: a test before may have turned its use off for all processes.
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(script.parent)))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("usage: ")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """``benchmarks/refinement.py``, imported as when it is run."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("refinement")
    for name in ("refinement", "refinement_tables", "refinement_pictures"):
        sys.modules.pop(name, None)


def scored(*rows: tuple[str, int, str, str, float, float]) -> pd.DataFrame:
    """Rows of scene, draw, photo, picture, PSNR and ST-LPIPS."""
    names = ["scene", "which", "view", "picture", "psnr_db", "st_lpips"]
    return pd.DataFrame(rows, columns=names).assign(photos=4, seed=0, ssim=0.5, edge_energy=0.5)


ROWS = (
    ("a", 0, "1.jpg", "splat", 20.0, 0.5),
    ("a", 0, "1.jpg", "ensemble", 21.0, 0.6),
    ("a", 0, "1.jpg", "residual refined", 22.0, 0.4),
    ("a", 0, "1.jpg", "longer", 21.5, 0.3),
    ("a", 1, "1.jpg", "splat", 20.0, 0.5),
    ("a", 1, "1.jpg", "ensemble", 19.0, 0.6),
    ("a", 1, "1.jpg", "residual refined", 19.5, 0.4),
    ("a", 1, "1.jpg", "longer", 21.5, 0.3),
    ("b", 0, "1.jpg", "splat", 10.0, 0.9),
    ("b", 0, "1.jpg", "ensemble", 13.0, 0.8),
    ("b", 0, "1.jpg", "residual refined", 13.5, 0.7),
    ("b", 0, "1.jpg", "longer", 12.5, 0.7),
)


def test_a_photo_held_out_in_several_draws_counts_once(benchmark: ModuleType) -> None:
    figures = benchmark.figures_of(benchmark.score_table(scored(*ROWS)), ["residual"])
    found = figures["ensemble's mean over splat"]
    assert found["photos"] == 2
    assert found["draws"] == 3
    assert found["share_worse"] == 0.25  # half the draws of one photo, none of the other
    assert found["scenes"] == {"a": 0.0, "b": 3.0}
    assert found["metrics"]["psnr_db"]["mean"] == 1.5
    assert found["metrics"]["st_lpips"]["mean"] == pytest.approx(0.0)


def test_the_refiners_own_gain_and_that_over_equal_compute_are_figures(
    benchmark: ModuleType,
) -> None:
    scores = benchmark.score_table(scored(*ROWS))
    figures = benchmark.figures_of(scores, ["residual"])
    own = figures["residual refined over ensemble's mean"]["metrics"]["psnr_db"]["mean"]
    assert own == pytest.approx((0.75 + 0.5) / 2)
    compute = figures["residual refined over longer fit"]["metrics"]["psnr_db"]["mean"]
    assert compute == pytest.approx((-0.75 + 1.0) / 2)
    table = benchmark.level_table(scores)
    refined = next(line for line in table.splitlines() if "residual refined" in line)
    cells = [cell.strip() for cell in refined.strip("|").split("|")]
    psnr_db = ((22.0 + 19.5) / 2 + 13.5) / 2
    expected = [
        "residual refined",
        "2",
        f"{psnr_db:.2f}",
        "0.500",
        "0.550",
        "50%",
        "+2.12",
        "+0.62",
    ]
    assert cells == expected
    assert all(title in table for title in ("PSNR, dB", "SSIM", "ST-LPIPS", "edges"))


def test_the_longer_fits_have_the_iterations_of_all_fits_together(benchmark: ModuleType) -> None:
    config = SceneConfig()
    members = config.ensemble.count
    assert members > 0
    (longer, still) = (
        overridden(config, changes, where="a test")
        for _, changes, _ in benchmark.changes_of(config, "longer", 4)
    )
    assert longer.splat.iterations == (1 + members) * config.splat.iterations
    assert still.splat.iterations == longer.splat.iterations + config.distil.iterations
    assert longer.splat.model_copy(update={"iterations": 1}) == config.splat.model_copy(
        update={"iterations": 1}
    )
    # Beside more photos there is no ensemble, and nothing to make up for.
    _, changes, _ = next(benchmark.changes_of(config, "longer", 9))
    assert changes["splat"]["iterations"] == config.splat.iterations


def test_scenes_are_grouped_by_what_was_tuned_on_them(benchmark: ModuleType) -> None:
    assert benchmark.group_of("castle_p19") == "development scenes"
    assert benchmark.group_of("random_1000001") == "never seen"
    assert benchmark.group_of("random_000001") == "training scenes or others"
    assert benchmark.group_of("my attic") == "the reader's scenes"


def test_a_table_says_whether_the_shipped_config_was_measured(benchmark: ModuleType) -> None:
    assert benchmark.departures(SceneConfig()).startswith("The shipped config")
    other = overridden(SceneConfig(), {"splat": {"iterations": 7}}, where="a test")
    assert "{splat: {iterations: 7}}" in benchmark.departures(other)


def test_seeds_of_several_fits_do_not_meet_those_of_their_ensembles(benchmark: ModuleType) -> None:
    seeds = []
    for seed in range(3):
        config = overridden(SceneConfig(), benchmark.seeded(SceneConfig(), seed), where="a test")
        seeds += [config.splat.seed, *(one.seed for one in config.ensemble_splats(4))]
    assert len(set(seeds)) == len(seeds)
