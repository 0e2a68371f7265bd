"""The runner: starting a stage while the server is busy."""

from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.logging import disable_run_logger
from prefect.states import Completed

from flows.stages import runner
from flows.stages.runner import StageRunner
from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tasks.ingest.task import INGEST
from tasks.runtime.context import Machine

HANDLE = ArrayHandle(uri="nowhere", kind="photos", digest="0" * 64)


class RefusedTask:
    """A task that Prefect refuses to begin at first, because its server does not answer."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.starts = 0
        self.tags: list[str] = []

    def with_options(self, *, tags: list[str], **_: Any) -> "RefusedTask":
        self.tags = tags
        return self

    def __call__(self, *_: Any, return_state: bool) -> State[ArrayHandle]:
        assert return_state
        self.starts += 1
        if self.starts <= self.times:
            raise ConcurrencySlotAcquisitionError("503 Service Unavailable")
        return Completed(data=HANDLE)


def run(task: RefusedTask, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ArrayHandle:
    monkeypatch.setattr(runner, "SECONDS_BETWEEN_STARTS", 0.0)
    monkeypatch.setattr(runner, "stage_task", lambda stage: task)
    stages = StageRunner(
        machine=Machine(store=Store(root=str(folder))),
        run="one",
        scene="hall",
        on_timeout=lambda error, rows: None,
    )
    with disable_run_logger():
        return stages(INGEST)


def test_a_stage_starts_when_the_server_responds_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = RefusedTask(times=2)
    assert run(task, tmp_path, monkeypatch) == HANDLE
    assert task.starts == 3
    assert task.tags == ["stage:ingest"]
    rows = read_table(Store(root=str(tmp_path)), "stages", run="one")
    assert rows["state"].tolist() == ["completed"]
    assert rows["attempt"].tolist() == [1]


def test_the_runner_gives_up_on_a_server_that_never_responds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SECONDS_OF_PATIENCE", 0.5)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="503"):
        run(RefusedTask(times=10**9), tmp_path, monkeypatch)
