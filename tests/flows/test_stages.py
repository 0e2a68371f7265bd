"""One stage of a scene, started where the server has much else to do."""

from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.logging import disable_run_logger
from prefect.states import Completed

from flows import stages
from flows.stages import StageRunner
from storage.arrays import Store
from storage.handles import ArrayHandle
from storage.metrics import read_table
from tasks.site import Site

HANDLE = ArrayHandle(uri="nowhere", kind="photos", digest="0" * 64)


class Refused:
    """A stage that Prefect does not let begin at first, because its server does not answer."""

    name = "ingest"
    tags = frozenset({"first"})

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0
        self.worn: list[str] = []

    def with_options(self, *, tags: list[str], **_: Any) -> "Refused":
        self.worn = tags
        return self

    def __call__(self, *_: Any, return_state: bool, **__: Any) -> State[ArrayHandle]:
        assert return_state
        self.asked += 1
        if self.asked <= self.times:
            raise ConcurrencySlotAcquisitionError("503 Service Unavailable")
        return Completed(data=HANDLE)


def run(stage: Refused, folder: Path) -> ArrayHandle:
    runner = StageRunner(
        site=Site(store=Store(root=str(folder))), run="one", scene="hall", tell_limit=print
    )
    with disable_run_logger():
        return runner(stage)  # type: ignore[arg-type]


def test_a_stage_begins_when_the_server_answers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "SECONDS_BETWEEN_STARTS", 0.0)
    refused = Refused(times=2)
    assert run(refused, tmp_path) == HANDLE
    assert refused.asked == 3
    assert set(refused.worn) == {"first", "stage:ingest"}
    rows = read_table(Store(root=str(tmp_path)), "stages", run="one")
    assert rows["state"].tolist() == ["completed"]
    assert rows["attempt"].tolist() == [1]


def test_a_server_that_never_answers_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "SECONDS_BETWEEN_STARTS", 0.0)
    monkeypatch.setattr(stages, "SECONDS_OF_PATIENCE", 0.5)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="503"):
        run(Refused(times=10**9), tmp_path)
