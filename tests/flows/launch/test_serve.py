"""``unseen serve`` with a real server and real workers: schedules, retries, deaths and its end."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from prefect.client.base import PrefectHttpxSyncClient

from flows.config import SceneConfig
from flows.launch.deployments import Scheduled
from flows.launch.serve import check_datasets, plan_workers
from storage.metrics import read_table
from storage.store import Store
from tasks.errors import InputError
from tests.conftest import ROOT
from tests.support.commands import environment_of, free_port, script

screenshots = script("screenshots")

LONG = {
    "splat": {"iterations": 100_000, "max_size": 160},
    "sfm": {"features": {"kind": "sift", "max_features": 2048}},
}
"""The config of a scene that is still running whenever a busy machine comes to look at it."""


@given(
    cores=st.integers(1, 256),
    gpus=st.integers(0, 16),
    threads=st.integers(0, 64),
    max_concurrent=st.integers(0, 64),
)
def test_workers_use_at_most_one_thread_per_core_or_one_per_scene(
    cores: int, gpus: int, threads: int, max_concurrent: int
) -> None:
    try:
        plan = plan_workers(cores=cores, gpus=gpus, threads=threads, max_concurrent=max_concurrent)
    except InputError:
        assert threads * max(gpus + max_concurrent, 1) > cores
        return
    scenes = sum(worker.limit for worker in plan.workers)
    assert plan.threads == threads or not threads
    assert scenes * plan.threads <= max(cores, scenes, threads)
    on_gpus = [worker for worker in plan.workers if worker.pool == "gpu"]
    assert [worker.environment["CUDA_VISIBLE_DEVICES"] for worker in on_gpus] == [
        str(index) for index in range(gpus)
    ]
    assert all(worker.limit == 1 for worker in on_gpus)
    assert scenes == gpus + max_concurrent if max_concurrent or gpus else scenes >= 1
    assert len({worker.name for worker in plan.workers}) == len(plan.workers)


def scheduled(dataset: Path, cron: str = "0 2 * * *", timezone: str = "UTC") -> Scheduled:
    return Scheduled(dataset=dataset, config=SceneConfig(), cron=cron, timezone=timezone)


@pytest.mark.parametrize(
    ("cron", "zone"), [("every night", "UTC"), ("0 2 * * *", "Europe/Atlantis")]
)
def test_an_invalid_schedule_is_refused(tmp_path: Path, cron: str, zone: str) -> None:
    (tmp_path / "photos" / "attic").mkdir(parents=True)
    (tmp_path / "photos" / "attic" / "a.jpg").touch()
    with pytest.raises(InputError, match=r"is invalid .*write minute, hour"):
        check_datasets((scheduled(tmp_path / "photos", cron, zone),))


def test_two_datasets_with_the_same_name_are_refused(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place / "photos" / "attic").mkdir(parents=True)
        (tmp_path / place / "photos" / "attic" / "a.jpg").touch()
    both = tuple(scheduled(tmp_path / place / "photos") for place in ("here", "there"))
    with pytest.raises(InputError, match=r"are both named 'photos'.*rename one"):
        check_datasets(both)
    check_datasets(both[:1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine that serves a dataset; ``environment`` names a home and a server of its own."""

    environment: dict[str, str]
    dataset: Path
    store: Path
    log: Path

    @contextlib.contextmanager
    def serving(self) -> Iterator["subprocess.Popen[bytes]"]:
        code = "from flows.cli import main; main()"
        words = ["serve", str(self.dataset), "--cron", "0 2 1 * *", "--stages.until", "ingest"]
        words += ["--store", str(self.store), "--max-concurrent", "1"]
        with (
            self.log.open("wb") as log,
            subprocess.Popen(
                [sys.executable, "-c", code, *words],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as process,
        ):
            try:
                until(lambda: b"serving until" in self.log.read_bytes(), self.log.read_text)
                yield process
            finally:
                process.kill()

    def processes(self) -> list[psutil.Process]:
        """Everything that was started under this machine's home, and lives."""
        home = self.environment["PREFECT_HOME"]
        found = []
        for one in psutil.process_iter(["environ", "status"]):
            ours = (one.info["environ"] or {}).get("PREFECT_HOME") == home
            if ours and one.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(one)
        return found

    def worker(self, pool: str) -> psutil.Process | None:
        for one in self.processes():
            with contextlib.suppress(psutil.Error):
                words = one.cmdline()
                if "worker" in words and words[words.index("--pool") + 1] == pool:
                    return one
        return None

    @property
    def password(self) -> str:
        """User and password of its server."""
        home = Path(self.environment["PREFECT_HOME"])
        return (home / "unseen-server-password").read_text().strip()

    def ask(self, method: str, place: str, **body: Any) -> Any:
        """What Prefect's API answers to a request, such as ``GET`` of ``/flow_runs/...``."""
        api = f"http://127.0.0.1:{self.environment['PREFECT_SERVER_API_PORT']}/api"
        asked = body if method == "POST" else None
        known = tuple(self.password.split(":"))
        with PrefectHttpxSyncClient(base_url=api, auth=known, timeout=60) as client:
            return client.request(method, place, json=asked).json()

    def find(self, kind: str, **wanted: Any) -> list[dict[str, Any]]:
        """Flow runs, task runs, artifacts or logs, as Prefect's API filters them."""
        return list(self.ask("POST", f"/{kind}/filter", **{kind: wanted}))

    def page_of(self, flow_run: str) -> str:
        """The markdown that a flow run put into the UI."""
        pages = self.find(
            "artifacts", flow_run_id={"any_": [flow_run]}, type={"any_": ["markdown"]}
        )
        return str(pages[0]["data"])

    def run(self, deployment: str, **parameters: Any) -> str:
        """The identity of a flow run that was asked for."""
        found = self.ask("GET", f"/deployments/name/{deployment}".replace(" ", "%20"))
        made = self.ask(
            "POST", f"/deployments/{found['id']}/create_flow_run", parameters=parameters
        )
        return str(made["id"])

    def until_ended(self, flow_run: str, seconds: float = 400) -> dict[str, Any]:
        ended: dict[str, Any] = {}

        def has_ended() -> bool:
            ended.update(self.ask("GET", f"/flow_runs/{flow_run}"))
            return ended["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

        until(has_ended, lambda: f"{ended}", seconds, pause=2)
        return ended

    def until_running(self, flow_run: str) -> None:
        seen: list[str] = []

        def is_running() -> bool:
            seen.append(self.ask("GET", f"/flow_runs/{flow_run}")["state_type"])
            assert seen[-1] in ("SCHEDULED", "PENDING", "RUNNING")
            return seen[-1] == "RUNNING"

        until(is_running, lambda: f"{self.log.read_text()}\n{seen}", 400)

    def scenes(self, run: str) -> pd.DataFrame:
        return read_table(Store(root=str(self.store)), "scenes", run=run).set_index("scene")


def until(
    condition: Callable[[], bool], said: Callable[[], str], seconds: float = 300, pause: float = 0.2
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, said()
        time.sleep(pause)


def photograph(folder: Path, seed: int) -> None:
    """Photos that can be read, and nothing more."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for index in range(4):
        pixels = random.integers(0, 255, (120, 160, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.jpg")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = tmp_path_factory.mktemp("machine")
    photograph(root / "photos" / "first", seed=1)
    made = Machine(
        environment=environment_of(root / "home", free_port())
        | {"PYTHONPATH": str(ROOT), "UNSEEN_THREADS": "1", "UNSEEN_DEVICE": "cpu"},
        dataset=root / "photos",
        store=root / "store",
        log=root / "log",
    )
    yield made
    for process in made.processes():
        process.kill()


@pytest.mark.slow
def test_scheduled_runs_find_new_scenes_and_retries_end_with_correct_tables(
    machine: Machine,
) -> None:
    with machine.serving() as process:
        found = machine.ask("GET", "/deployments/name/dataset/scheduled%20photos")
        (schedule,) = found["schedules"]
        assert schedule["schedule"]["cron"] == "0 2 1 * *"
        assert schedule["active"]
        due: list[str] = []

        def is_due() -> bool:
            runs = machine.find("flow_runs", deployment_id={"any_": [found["id"]]})
            due[:] = [run["expected_start_time"] for run in runs if run["auto_scheduled"]]
            return bool(due)

        until(is_due, machine.log.read_text, pause=2)
        assert {time[8:19] for time in due} == {"01T02:00:00"}

        # As the schedule does it: with the deployment's own parameters.
        first = machine.until_ended(machine.run("dataset/scheduled photos"))
        assert first["state_type"] == "COMPLETED"
        assert machine.scenes(first["name"])["state"].to_dict() == {"first": "completed"}

        # It finds a new scene, whose photos are bad, and one that was there.
        (machine.dataset / "second").mkdir()
        for index in range(4):
            (machine.dataset / "second" / f"{index}.jpg").write_text("no photo")
        again = machine.until_ended(machine.run("dataset/scheduled photos"))
        assert again["state_type"] == "FAILED"
        assert again["name"] != first["name"]
        rows = machine.scenes(again["name"])
        assert rows["state"].to_dict() == {"first": "completed", "second": "failed"}
        assert rows["stages_cached"]["first"] == 1

        # The bad scene is mended, and somebody presses the button.
        photograph(machine.dataset / "second", seed=2)
        retry = {"type": "SCHEDULED", "name": "AwaitingRetry"}
        machine.ask("POST", f"/flow_runs/{again['id']}/set_state", state=retry, force=True)
        retried = machine.until_ended(again["id"])
        assert retried["state_type"] == "COMPLETED"
        assert retried["name"] == again["name"]
        mended = machine.scenes(again["name"])
        assert mended["state"].to_dict() == {"first": "completed", "second": "completed"}
        assert mended["written_at"]["first"] == rows["written_at"]["first"]  # not run again

        # A finished scene, from a stage on.
        resumed = machine.run(
            "resume/datasets", run=again["name"], scenes=["first"], stage="ingest"
        )
        assert machine.until_ended(resumed)["state_type"] == "COMPLETED"
        assert machine.scenes(again["name"])["stages_computed"]["first"] == 1

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0
    assert machine.processes() == []


@pytest.mark.slow
def test_the_ui_finds_runs_by_tags_and_shows_a_failure_cause_once(
    machine: Machine,
) -> None:
    dataset = machine.dataset.parent / "seen"
    photograph(dataset / "good", seed=3)
    (dataset / "bad").mkdir()
    for index in range(4):
        (dataset / "bad" / f"{index}.jpg").write_text("no photo")
    config = {"stages": {"until": "ingest"}}
    with machine.serving():
        # As a person does it, with a deployment that knows no dataset.
        asked = machine.run("dataset/datasets", dataset=str(dataset), run="seen", config=config)
        parent = machine.until_ended(asked)
        assert parent["state_type"] == "FAILED"
        assert "dataset:seen" in parent["tags"]

        scenes = machine.find("flow_runs", tags={"all_": ["run:seen", "dataset:seen"]})
        assert {one["name"]: one["state_type"] for one in scenes} == {
            "good": "COMPLETED",
            "bad": "FAILED",
        }
        assert all(f"scene:{one['name']}" in one["tags"] for one in scenes)
        ids = {one["name"]: one["id"] for one in scenes}

        def staged() -> dict[str, set[str]]:
            found = machine.find("task_runs", tags={"all_": ["stage:ingest", "dataset:seen"]})
            return {one["name"]: set(one["tags"]) for one in found}

        names = {"ingest/good", "ingest/bad"}
        until(lambda: set(staged()) == names, lambda: str(staged()))  # they are told as events
        assert all(f"scene:{name.partition('/')[2]}" in tags for name, tags in staged().items())
        stand_ins = machine.find("task_runs", flow_run_id={"any_": [parent["id"]]})
        assert {one["name"] for one in stand_ins} == {"good", "bad"}

        page = machine.page_of(parent["id"])
        assert "1 of 2 scenes completed" in page
        assert "none of the 4 files" in page
        assert "**completed** in the run seen" in machine.page_of(ids["good"])
        assert "none of the 4 files" in machine.page_of(ids["bad"])

        def said() -> list[str]:
            found = machine.find("logs", flow_run_id={"any_": [ids["bad"]]})
            return [one["message"] for one in found]

        until(lambda: any("Finished in state Failed" in one for one in said()), lambda: str(said()))
        assert any("none of the 4 files" in one for one in said())
        assert not any("Traceback" in one for one in said())

        # What a late heartbeat has the automation ask for.
        crash = {"type": "CRASHED"}
        machine.ask("POST", f"/flow_runs/{ids['bad']}/set_state", state=crash)
        assert machine.ask("GET", f"/flow_runs/{ids['bad']}")["state_type"] == "FAILED"

        again = machine.until_ended(machine.run("resume/datasets", run="seen", scenes=["good"]))
        assert again["name"] == "resume seen"
        assert "dataset:seen" in again["tags"]


@pytest.mark.slow
@pytest.mark.skipif(screenshots.find_chromium() is None, reason="there is no Chromium here")
def test_the_deployment_form_describes_every_field(machine: Machine, tmp_path: Path) -> None:
    known = SceneConfig.model_json_schema()["$defs"]
    shown = ("Ingest", "Video", "Sfm", "Splat", "Dense", "Default", "Every nth", "Views", "Distil")
    with machine.serving(), screenshots.chromium(screenshots.find_chromium()) as page:
        form = machine.ask("GET", "/deployments/name/dataset/datasets")["id"]
        port = machine.environment["PREFECT_SERVER_API_PORT"]
        ui = screenshots.Ui(url=f"http://127.0.0.1:{port}", password=machine.password)
        page.log_in(ui)
        page.open(ui.page(f"deployments/deployment/{form}/run"), "Distil")
        text = " ".join(page.text().split())
        picture = page.photograph(tmp_path, "form")
    for part in (one for one in known.values() if one["title"] in shown):
        assert part["title"] in text
        for name, field in part["properties"].items():
            if name != "kind" and "description" in field:
                assert " ".join(field["description"].split()) in text
    assert "Config (Optional)" not in text
    assert picture.stat().st_size <= 150_000
    assert len(Image.open(picture).convert("RGB").getcolors(2**24) or []) > 10


@pytest.mark.slow
def test_a_dead_worker_is_replaced_and_a_killed_serve_is_taken_over(
    machine: Machine, photographed: Path
) -> None:
    with machine.serving() as process:
        until(lambda: machine.worker("cpu") is not None, machine.log.read_text)
        worker = machine.worker("cpu")
        assert worker is not None
        worker.kill()
        until(lambda: machine.worker("cpu") not in (None, worker), machine.log.read_text)

        stuck = machine.run("scene/cpu", folder=str(photographed), scene="x", run="x", config=LONG)
        machine.until_running(stuck)
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: not machine.processes(), lambda: str(machine.processes()))

    with machine.serving() as process:
        assert machine.until_ended(stuck)["state_type"] == "CRASHED"
        names = [one["name"] for one in machine.ask("POST", "/automations/filter")]
        assert names == ["unseen: flow runs that have gone silent"]
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=120) == 0
    assert machine.processes() == []


@pytest.mark.slow
def test_a_scene_that_dies_with_its_worker_is_named(machine: Machine, photographed: Path) -> None:
    shutil.copytree(photographed, machine.dataset.parent / "one" / "long")
    with machine.serving():
        dataset = str(machine.dataset.parent / "one")
        parent = machine.run("dataset/datasets", dataset=dataset, run="zombie", config=LONG)
        stages = Store(root=str(machine.store))
        until(
            lambda: "sfm" in set(read_table(stages, "stages", run="zombie")["stage"]),
            machine.log.read_text,
            400,
        )
        # As if it ran on another machine: here its lock would tell, sooner than its heartbeats.
        locks = Path(machine.environment["PREFECT_HOME"]) / "unseen-locks"
        assert [lock.unlink() for lock in locks.glob("flow-run-*")]
        worker = machine.worker("cpu")
        assert worker is not None
        for dead in (worker, *worker.children(recursive=True)):
            os.kill(dead.pid, signal.SIGKILL)
        assert machine.until_ended(parent)["state_type"] == "FAILED"
    row = machine.scenes("zombie").loc["long"]
    assert (row["state"], row["error_type"]) == ("crashed", "ProcessDied")
    assert "no heartbeat" in row["error_message"]
