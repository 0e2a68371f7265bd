"""Machines whose clock goes behind that of the machine that waits for their scenes."""

from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed, Crashed

from flows.runs.outcomes import rows_written_at, write_missing_row
from storage import metrics
from storage.metrics import read_table, write_rows
from storage.store import Store


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


def test_rows_written_since_are_read_despite_a_slow_clock_of_their_writer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_written_at(store, "it")
    row = {"state": "completed", "photos": 8}
    with monkeypatch.context() as patched:
        patched.setattr(metrics, "datetime", TwoHoursBehind)
        write_rows(store, "scenes", run="it", scene="done", rows=[row])
    assert rows_written_at(store, "it")["done"] < before["done"]

    for name, state in (("done", Completed()), ("dead", Crashed(message="killed"))):
        ended = FlowRun(flow_id=uuid4(), name=name, state=state)
        write_missing_row(store, "it", ended, before)
    rows = read_table(store, "scenes").set_index("scene")
    assert (rows["state"]["done"], rows["photos"]["done"]) == ("completed", 8)
    assert (rows["state"]["dead"], rows["error_type"]["dead"]) == ("crashed", "ProcessDied")
