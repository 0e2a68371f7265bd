"""A scene killed while its splat is fitted goes on from the checkpoint, to the same bits."""

import base64
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from storage.metrics import read_table
from storage.store import Store
from tests.conftest import ROOT
from tests.flows.conftest import Command

pytestmark = pytest.mark.slow

FIT_ALONE = (
    *("--splat.iterations", "800", "--splat.max-size", "160", "--sfm.threads", "1"),
    *("--stages.until", "splat"),
)


def splat_row(store: Path) -> dict[str, object]:
    """Of the last run."""
    rows = read_table(Store(root=str(store)), "stages")
    return rows[rows["stage"] == "splat"].iloc[-1].to_dict()


def told_last(api: str, password: str) -> str:
    """The last text of the stage's progress in Prefect's UI."""
    known = {"Authorization": "Basic " + base64.b64encode(password.encode()).decode()}
    asked = urllib.request.Request(f"{api}/artifacts/progress-splat/latest", headers=known)
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)["description"]


def test_a_killed_and_resumed_fit_ends_with_the_same_bits(
    unseen: Command,
    command_environment: dict[str, str],
    api: str,
    api_password: str,
    photographed: Path,
    tmp_path: Path,
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    often = command_environment | {"UNSEEN_CHECKPOINT_SECONDS": "0.2"}
    words = ["scene", str(photographed), "--store", str(killed), *FIT_ALONE]
    with subprocess.Popen(
        [sys.executable, "-c", "from flows.cli import main; main()", *words],
        env=often | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 300
        while not list((killed / "checkpoints").glob("*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert not list((killed / "scenes").glob("*/splat"))
    shutil.copytree(killed, whole)
    shutil.rmtree(whole / "checkpoints")

    uninterrupted = unseen("scene", photographed, "--store", whole, *FIT_ALONE)
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    assert "resumed" not in told_last(api, api_password)
    resumed = unseen("scene", photographed, "--store", killed, *FIT_ALONE)
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed at iteration" in told_last(api, api_password)

    assert splat_row(killed)["digest"] == splat_row(whole)["digest"]
    assert not splat_row(killed)["cached"]
    training = read_table(Store(root=str(killed)), "training")
    assert training["iteration"].tolist() == list(range(50, 801, 50))
    assert training["held_out_psnr_db"].notna().sum() == 10
    assert not list((killed / "checkpoints").iterdir())
