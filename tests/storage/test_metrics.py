"""Tables hold exactly what scenes wrote last, before and after they are compacted."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import metrics
from storage.metrics import compact, read_scene, read_table, schema_of, write_rows
from storage.store import Store
from storage.tables import COLUMNS

Rows = list[dict[str, Any]]


def views(*psnr_db: float | None) -> Rows:
    return [
        {"stage": "splat", "view": f"{number:03d}.jpg", "split": "held_out", "psnr_db": value}
        for number, value in enumerate(psnr_db)
    ]


def write_views(store: Store, run: str, scene: str, rows: Rows) -> None:
    write_rows(store, "views", run=run, scene=scene, rows=rows)


def scores(store: Store, run: str | None = None) -> list[tuple[str, str, float]]:
    rows = read_table(store, "views", run=run)
    return sorted(zip(rows["run"], rows["scene"], rows["psnr_db"], strict=True))


def parquet_files(store: Store, table: str) -> list[Path]:
    return sorted((Path(store.root) / "metrics" / table).iterdir())


def stored_rows(store: Store, table: str) -> list[dict[str, Any]]:
    """All that lies on the disk, read by arrow alone."""
    rows = [row for path in parquet_files(store, table) for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=repr)


def test_every_file_of_a_table_has_its_schema(store: Store) -> None:
    write_views(store, "r", "a", views(10.0, None))
    write_views(store, "r", "b", [])
    write_views(store, "r", "c", [{"view": "x"}])
    write_views(store, "other", "a", views(1.0))
    compact(store, "other")
    for path in parquet_files(store, "views"):
        assert pq.read_schema(path).equals(schema_of("views"))


@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_every_column_of_every_table_is_read_back(store: Store, table: str) -> None:
    samples: dict[Any, Any] = {
        pa.string(): "é, 'quoted'",
        pa.int64(): 2**60 + 1,
        pa.float64(): 0.1,
        pa.bool_(): False,
    }
    row = {name: samples[kind] for name, kind in COLUMNS[table].items()}
    write_rows(store, table, run="r", scene="s", rows=[row])
    compact(store, "r")
    (found,) = stored_rows(store, table)
    assert {**row, "run": "r", "scene": "s", "written_at": found["written_at"]} == found
    assert abs(found["written_at"] - datetime.now(UTC)).total_seconds() < 600


def test_scene_name_001_stays_a_string_for_every_reader(store: Store) -> None:
    write_views(store, "2024", "001", views(1.0))
    write_views(store, "2024", "002", views(2.0))
    compact(store, "2024")
    write_views(store, "2025", "001", views(3.0))
    pattern = f"{store.root}/metrics/views/*.parquet"
    expected = [("2024", "001", 1.0), ("2024", "002", 2.0), ("2025", "001", 3.0)]
    assert scores(store) == expected
    query = f"SELECT run, scene, psnr_db FROM '{pattern}' ORDER BY ALL"
    assert duckdb.sql(query).fetchall() == expected
    frame = pd.concat(pd.read_parquet(path) for path in parquet_files(store, "views"))
    assert sorted(zip(frame["run"], frame["scene"], frame["psnr_db"], strict=True)) == expected
    folder = pd.read_parquet(f"{store.root}/metrics/views")
    assert sorted(folder["scene"]) == ["001", "001", "002"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_reading_leaves_no_thread_that_could_abort_the_process_at_its_end(store: Store) -> None:
    write_views(store, "r", "a", views(20.0, 21.0))
    reads = (
        "import os, sys, pyarrow.parquet, pandas\n"
        "from storage.store import Store\n"
        "from storage.metrics import read_table\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "rows = len(read_table(Store(root=sys.argv[1]), 'views'))\n"
        "print(rows, len(os.listdir('/proc/self/task')) - before)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", reads, store.root], capture_output=True, text=True, check=True
    )

    assert said.stdout.split() == ["2", "0"]


def test_a_scene_that_is_run_again_supersedes_its_rows(store: Store) -> None:
    write_views(store, "r", "a", views(1.0, 2.0, 3.0))
    write_views(store, "r", "b", views(9.0))
    write_views(store, "r", "a", views(4.0))
    assert scores(store) == [("r", "a", 4.0), ("r", "b", 9.0)]


@pytest.mark.parametrize("again", [views(4.0), []])
def test_a_scene_run_again_supersedes_compacted_rows(store: Store, again: Rows) -> None:
    write_views(store, "r", "a", views(1.0, 2.0, 3.0))
    write_views(store, "r", "b", views(9.0))
    compact(store, "r")
    write_views(store, "r", "a", again)
    expected = [("r", "a", row["psnr_db"]) for row in again] + [("r", "b", 9.0)]
    assert scores(store) == expected
    assert scores(store, "r") == expected
    compact(store, "r")
    assert scores(store) == expected
    assert len(parquet_files(store, "views")) == 1


def awkward_rows() -> Rows:
    """Missing, not a number, infinite, twice the same."""
    rows = views(None, float("inf"), 1e-300, 0.1)
    return [*rows, rows[-1], {"stage": "splat", "view": "no other column"}]


def test_compacting_keeps_exactly_the_rows(store: Store) -> None:
    for run in ("r", "q"):
        for scene in ("a", "b c", "日本"):
            write_views(store, run, scene, awkward_rows())
            curve = [
                {"iteration": n, "loss": 1 / (n + 1), "gaussians": 2**53 + n} for n in range(9)
            ]
            write_rows(store, "training", run=run, scene=scene, rows=[*curve, {"loss": 0.5}])
    before = {table: stored_rows(store, table) for table in ("views", "training")}
    compact(store, "r")
    compact(store, "r")
    for table, rows in before.items():
        assert stored_rows(store, table) == rows
        names = [path.name for path in parquet_files(store, table)]
        assert "r.parquet" in names
        assert len(names) == 4


def test_nan_and_missing_values_stay_distinct(store: Store) -> None:
    write_views(store, "r", "a", views(float("nan"), None))
    compact(store, "r")
    first, second = sorted(stored_rows(store, "views"), key=lambda row: row["view"])
    assert np.isnan(first["psnr_db"])
    assert second["psnr_db"] is None


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_interrupted_compaction_neither_loses_nor_duplicates_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    for scene in "abc":
        write_views(store, "r", scene, awkward_rows())
    expected = stored_rows(store, "views")
    left = removed
    remove: Callable[[Store, str], None] = metrics.remove

    def cut_off(store: Store, key: str) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        remove(store, key)

    monkeypatch.setattr(metrics, "remove", cut_off)
    with pytest.raises(KeyboardInterrupt):
        compact(store, "r")
    monkeypatch.undo()

    assert len(parquet_files(store, "views")) == 4 - removed
    assert len(read_table(store, "views", run="r")) == len(expected)
    compact(store, "r")
    assert stored_rows(store, "views") == expected
    assert len(parquet_files(store, "views")) == 1


def test_a_scene_run_again_after_an_interrupted_compaction_takes_precedence(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_views(store, "r", "a", views(1.0))
    write_views(store, "r", "b", views(2.0))
    monkeypatch.setattr(metrics, "remove", lambda store, key: None)
    compact(store, "r")
    monkeypatch.undo()
    write_views(store, "r", "a", views(3.0))
    assert scores(store) == [("r", "a", 3.0), ("r", "b", 2.0)]


RUNS = ("a", "a-", "a--b", "a--", "a,b", "a.parquet", "A", "")
SCENES = ("x", "b--x", "-b", "", "parquet", "b,x")


def test_runs_and_scenes_of_similar_names_do_not_mix(store: Store) -> None:
    expected = []
    for number, (run, scene) in enumerate((run, scene) for run in RUNS for scene in SCENES):
        write_views(store, run, scene, views(float(number)))
        expected.append((run, scene, float(number)))
    for run in ("a", "a--b", "a,b"):
        compact(store, run)
    assert scores(store) == sorted(expected)
    for run in RUNS:
        assert scores(store, run) == sorted(row for row in expected if row[0] == run)
    for run, scene, number in expected:
        rows = read_scene(store, "views", run=run, scene=scene)
        assert rows["psnr_db"].tolist() == [number]


def test_a_scene_is_readable_while_the_file_of_another_is_damaged(store: Store) -> None:
    write_views(store, "r", "whole", views(1.0, 2.0))
    (whole,) = parquet_files(store, "views")
    write_views(store, "r", "broken", views(3.0))
    (broken,) = (file for file in parquet_files(store, "views") if file != whole)
    broken.write_bytes(b"PAR1")
    rows = read_scene(store, "views", run="r", scene="whole")
    assert rows["psnr_db"].tolist() == [1.0, 2.0]


def test_a_scene_run_again_after_compacting_is_read_once(store: Store) -> None:
    write_views(store, "r", "a", views(1.0))
    write_views(store, "r", "b", views(2.0))
    compact(store, "r")
    write_views(store, "r", "a", views(3.0))
    assert read_scene(store, "views", run="r", scene="a")["psnr_db"].tolist() == [3.0]
    assert read_scene(store, "views", run="r", scene="b")["psnr_db"].tolist() == [2.0]


def test_a_run_compacted_while_it_is_read_is_read_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_views(store, "r", "a", views(1.0))
    write_views(store, "r", "b", views(2.0))
    get: Callable[[Store, str], bytes] = metrics.get

    def compacting(store: Store, key: str) -> bytes:
        monkeypatch.undo()
        compact(store, "r")
        return get(store, key)

    monkeypatch.setattr(metrics, "get", compacting)
    assert scores(store) == [("r", "a", 1.0), ("r", "b", 2.0)]


def test_files_of_a_version_with_fewer_columns_are_read(store: Store) -> None:
    write_views(store, "r", "a", views(1.0))
    (path,) = parquet_files(store, "views")
    older = pq.read_table(path).drop_columns(["ssim"]).replace_schema_metadata(None)
    pq.write_table(older, path)
    (row,) = read_table(store, "views").to_dict("records")
    assert row["psnr_db"] == 1.0
    assert pd.isna(row["ssim"])


def test_an_unknown_column_is_refused_and_nothing_is_written(store: Store) -> None:
    with pytest.raises(ValueError, match=r"table views has no column \['psnr'\]"):
        write_views(store, "r", "a", [{"view": "x", "psnr": 1.0}])
    with pytest.raises(ValueError, match=r"no column \['scene'\]"):
        write_views(store, "r", "a", [{"scene": "b"}])
    assert read_table(store, "views").empty


def test_an_empty_store_has_empty_tables_with_all_columns(store: Store) -> None:
    found = read_table(store, "scenes")
    assert found.empty
    assert list(found.columns) == ["run", "scene", "written_at", *COLUMNS["scenes"]]
    compact(store, "r")
    assert not Path(store.root).exists()
