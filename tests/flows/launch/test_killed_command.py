"""``unseen run`` killed in the middle: nothing of it goes on, and ``unseen resume`` finishes it.

The scene that runs then would go on for long, however fast the machine: it must be ended.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from storage.metrics import read_table
from storage.store import Store
from tests.conftest import ROOT
from tests.flows.conftest import FAST, Command

pytestmark = pytest.mark.slow

ENDLESS = """
scenes:
- {folder: first, config: {splat: {iterations: 100000}}}
- {folder: second}
"""
SECONDS_TO_END = 60


def processes_of(store: Path) -> list[psutil.Process]:
    """Workers and scenes of the store's runs, and their commands."""
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("UNSEEN_STORE") == str(store)
    ]


def until(condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture
def running(
    command_environment: dict[str, str],
    api: str,
    copy_of: Callable[[Path], Path],
    tmp_path: Path,
) -> Iterator["subprocess.Popen[str]"]:
    """A run of two scenes, one after the other, whose first is fitting its splat."""
    for name in ("first", "second"):
        copy_of(tmp_path / "photos" / name)
    (tmp_path / "photos" / "dataset.yaml").write_text(ENDLESS)
    words = ["run", str(tmp_path / "photos"), "--store", str(tmp_path / "store"), "--name", "it"]
    words += [*FAST, "--max-concurrent", "1"]
    code = "from flows.cli import main; main()"
    store = Store(root=str(tmp_path / "store"))

    def fits_the_first() -> bool:
        rows = read_table(store, "stages")
        return ((rows["scene"] == "first") & (rows["stage"] == "sfm")).any()

    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=command_environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        until(fits_the_first, "the first scene found its cameras")
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_run_stops_wholly_and_resumes_without_repeated_work(
    running: "subprocess.Popen[str]", unseen: Command, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    status = unseen("status", "--store", store)
    assert "running" in status.stdout
    assert "waiting" in status.stdout
    running.kill()
    running.wait()
    until(lambda: not processes_of(store), "all its processes ended", SECONDS_TO_END)
    status = unseen("status", "--store", store)
    assert "running" not in status.stdout
    assert status.stdout.count("no result yet") == 2

    (tmp_path / "photos" / "dataset.yaml").unlink()  # both scenes are found without it, and end
    resumed = unseen("resume", "--store", store)
    assert resumed.returncode == 0, resumed.stderr
    opened = Store(root=str(store))
    rows = read_table(opened, "scenes").set_index("scene")
    assert rows["state"].to_dict() == {"first": "completed", "second": "completed"}
    assert rows["stages_cached"]["first"] >= 2
    assert rows["stages_computed"]["second"] == 9
    until(lambda: not processes_of(store), "its workers ended", SECONDS_TO_END)


def test_a_killed_worker_fails_its_scene_and_the_run_reports_it(
    running: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    store = tmp_path / "store"
    (worker,) = (one for one in processes_of(store) if one.cmdline()[2:4] == ["prefect", "worker"])
    (scene,) = worker.children()
    worker.kill()
    scene.wait(timeout=SECONDS_TO_END)

    def ends() -> dict[str, str]:
        rows = read_table(Store(root=str(store)), "scenes")
        return dict(zip(rows["scene"], rows["error_type"], strict=True))

    until(lambda: ends() == {"first": "ProcessDied"}, "the run has seen the first scene's end")
    assert running.poll() is None


def test_a_run_resumes_only_once_and_an_interrupt_cancels_its_scenes(
    running: "subprocess.Popen[str]", unseen: Command, tmp_path: Path
) -> None:
    twice = unseen("resume", "--store", tmp_path / "store")
    assert twice.returncode == 1
    assert "unseen: the run 'it' is active in another process" in twice.stderr

    os.killpg(running.pid, signal.SIGINT)  # Ctrl-C in its terminal
    _, said = running.communicate(timeout=300)
    assert running.returncode == 1
    assert "Traceback" not in said
    assert "unseen: interrupted; finished stages are kept" in said
    assert "Crash detected" not in said
    until(lambda: not processes_of(tmp_path / "store"), "all its processes ended", SECONDS_TO_END)
    assert list((tmp_path / "store" / "staging").glob("*.dir")) == []
    status = unseen("status", "--store", tmp_path / "store")
    assert status.stdout.count("no result yet") == 2
    assert "sfm finished" in status.stdout
