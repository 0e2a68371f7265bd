"""Machines whose clock goes behind that of the machine that waits for their scenes."""

import asyncio
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed, Crashed

from flows.scene_runs import _end_scene, _written_at
from storage import metrics
from storage.arrays import Store
from storage.metrics import read_table, write_rows


class TwoHoursBehind(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "TwoHoursBehind":
        return super().now(tz) - timedelta(hours=2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Both scenes have a row already, of before they were run again."""
    made = Store(root=str(tmp_path / "store"))
    for scene in ("done", "dead"):
        write_rows(made, "scenes", run="it", scene=scene, rows=[{"state": "failed"}])
    return made


def test_a_row_counts_that_was_written_since_whatever_the_clock_of_its_writer_says(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _written_at(store, "it")
    row = {"state": "completed", "photos": 8}
    with monkeypatch.context() as patched:
        patched.setattr(metrics, "datetime", TwoHoursBehind)
        write_rows(store, "scenes", run="it", scene="done", rows=[row])
    assert _written_at(store, "it")["done"] < before["done"]

    async def end(name: str, state: object) -> None:
        started = FlowRun(flow_id=uuid4(), name=name, state=state)
        nobody = PrefectClient("http://127.0.0.1:9/api")  # not asked: the run has ended
        await _end_scene(nobody, started, "it", store, before)

    asyncio.run(end("done", Completed()))
    asyncio.run(end("dead", Crashed(message="killed")))
    rows = read_table(store, "scenes").set_index("scene")
    assert (rows["state"]["done"], rows["photos"]["done"]) == ("completed", 8)
    assert (rows["state"]["dead"], rows["error_type"]["dead"]) == ("crashed", "ProcessDied")
