"""The end of a run leaves tables that any reader has whole meanwhile."""

from pathlib import Path

import duckdb
import pytest

from flows.config import SceneConfig
from flows.dataset import _with_vanished
from flows.runs.manifest import SceneEntry
from flows.runs.outcomes import fail_damaged_scenes, verdict
from flows.runs.record import RunRecord, scenes_to_resume
from storage.metrics import write_rows
from storage.store import Store
from tasks.errors import InputError
from tests.support.every_instant import at_every_instant


def record_of(*scenes: str) -> RunRecord:
    return RunRecord(
        run="r", dataset="d", only=(), scenes=scenes, config={}, created_at="2024-01-01T00:00:00"
    )


def write_scene(store: Store, scene: str) -> None:
    write_rows(store, "scenes", run="r", scene=scene, rows=[{"state": "completed"}])
    write_rows(store, "views", run="r", scene=scene, rows=[{"view": name} for name in "xyz"])


def test_a_reader_has_the_rows_of_each_scene_once_at_every_instant_of_a_runs_end(
    tmp_path: Path,
) -> None:
    store = Store(root=str(tmp_path))
    for scene in "abc":
        write_scene(store, scene)
    query = f"SELECT scene, count(*) FROM '{tmp_path}/metrics/views/*.parquet' GROUP BY ALL"
    seen = []
    with at_every_instant(lambda _: seen.append(dict(duckdb.sql(query).fetchall()))):
        fail_damaged_scenes(store, record_of("a", "b", "c"))
        assert verdict(store, record_of("a", "b", "c")).is_completed()
    assert len(seen) > 6
    assert all(rows == {"a": 3, "b": 3, "c": 3} for rows in seen)


def test_a_scene_with_damaged_rows_fails_and_the_others_stay(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    for scene in "ab":
        write_scene(store, scene)
    (tmp_path / "metrics/views/r,b.parquet").write_bytes(b"PAR1")
    record = record_of("a", "b")
    fail_damaged_scenes(store, record)
    state = verdict(store, record)
    assert state.is_failed()
    assert "1 of 2 scenes did not complete: b (failed)" in str(state.message)
    assert [path.name for path in (tmp_path / "metrics/views").iterdir()] == ["r,a.parquet"]


def test_a_run_of_no_scenes_has_not_completed(tmp_path: Path) -> None:
    state = verdict(Store(root=str(tmp_path)), record_of())
    assert state.is_failed()
    assert "0 scenes" in str(state.message)
    with pytest.raises(InputError, match="has 0 scenes"):
        scenes_to_resume(Store(root=str(tmp_path)), record_of(), ())


def test_scenes_that_vanished_from_the_dataset_are_not_forgotten() -> None:
    left = SceneEntry(name="a", folder="d/a", config=SceneConfig())
    first, second = _with_vanished(record_of("a", "b"), (left,))
    assert first == left
    assert second.name == "b"
    assert "'b' is no longer in d" in str(second.error)
