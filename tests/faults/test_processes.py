"""The worker, the server and the command of one run killed in turn, each by one of its scenes."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.faults.conftest import FAST, Faulty

pytestmark = pytest.mark.slow

WORKER_DIES, SERVER_DIES, RUN_DIES = "a worker dies", "b server dies", "c run dies"
"""In the order in which they run, one at a time."""
SERVER = "flows.orchestration.guarded_server"
NEVER_STARTED = "d undisturbed"
SCENES = (WORKER_DIES, SERVER_DIES, RUN_DIES, NEVER_STARTED)
SECONDS_TO_END = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A run that was killed after its worker and its server had been."""

    code: int
    scenes: pd.DataFrame
    left: list[psutil.Process]
    """What of it goes on."""
    verified: str


def processes_of(story: Faulty) -> list[psutil.Process]:
    """Workers and scenes of the story's runs, and their commands."""
    return [
        process
        for process in psutil.process_iter(["environ", "cmdline"])
        if (process.info["environ"] or {}).get("UNSEEN_STORE") == story.environment["UNSEEN_STORE"]
        and SERVER not in process.info["cmdline"]
    ]


def start_server_when_it_is_dead(story: Faulty, ended: threading.Event) -> None:
    """As a person would, or a service manager."""
    server = int((Path(story.environment["PREFECT_HOME"]) / "server.pid").read_text())
    while psutil.pid_exists(server):
        if ended.wait(0.1):
            return
    code = "from flows.orchestration.server import find_or_start_api; find_or_start_api()"
    subprocess.run([sys.executable, "-c", code], env=story.environment, check=True)


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory,
    photographed: Path,
    faulty: Callable[[Path], Faulty],
    api: str,
) -> Faulty:
    made = faulty(tmp_path_factory.mktemp("processes"))
    for scene in SCENES:
        shutil.copytree(photographed, made.photos / scene)
    return made


@pytest.fixture(scope="module")
def killed(story: Faulty) -> Killed:
    ended = threading.Event()
    starter = threading.Thread(target=start_server_when_it_is_dead, args=(story, ended))
    starter.start()
    run = story.unseen("run", str(story.photos), "--name", "it", "--max-concurrent", "1", *FAST)
    ended.set()
    starter.join()
    deadline = time.monotonic() + SECONDS_TO_END
    while (left := processes_of(story)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return Killed(
        code=run.returncode,
        scenes=story.scenes(),
        left=left,
        verified=story.unseen("verify").stdout,
    )


def test_a_killed_worker_fails_its_scene_and_a_killed_server_at_most_one(
    story: Faulty, killed: Killed
) -> None:
    died = killed.scenes.loc[WORKER_DIES]
    assert (died["state"], died["error_type"]) == ("crashed", "ProcessDied")
    met = {path.name for path in (story.root / "met").iterdir()}
    assert met == {WORKER_DIES, SERVER_DIES, RUN_DIES}, killed


def test_a_killed_run_leaves_no_processes_and_an_intact_store(killed: Killed) -> None:
    assert killed.code == -9
    assert killed.left == []
    assert set(killed.scenes.index) <= {WORKER_DIES, SERVER_DIES}
    assert killed.verified == "no faults found\n"


def test_resume_ends_with_the_results_of_an_undisturbed_run(story: Faulty, killed: Killed) -> None:
    resumed = story.unseen("resume", "--max-concurrent", "2")
    assert resumed.returncode == 0, resumed.stderr
    assert story.scenes()["state"].to_dict() == dict.fromkeys(SCENES, "completed")
    digests = story.stages()["digest"]
    assert sorted(digests.index) == [(scene, "ingest") for scene in SCENES]
    assert set(digests) == {digests[NEVER_STARTED, "ingest"]}
    assert story.unseen("verify").stdout == "no faults found\n"
    assert story.staged() == []
