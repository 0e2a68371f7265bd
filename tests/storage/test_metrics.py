"""Tables hold exactly what scenes wrote last."""

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

from storage.metrics import read_scene, read_table, remove_run, schema_of, write_rows
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
    (found,) = stored_rows(store, table)
    assert {**row, "run": "r", "scene": "s", "written_at": found["written_at"]} == found
    assert abs(found["written_at"] - datetime.now(UTC)).total_seconds() < 600


def test_scene_name_001_stays_a_string_for_every_reader(store: Store) -> None:
    write_views(store, "2024", "001", views(1.0))
    write_views(store, "2024", "002", views(2.0))
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
    assert scores(store) == scores(store, "r") == [("r", "a", 4.0), ("r", "b", 9.0)]
    write_views(store, "r", "a", [])
    assert scores(store) == [("r", "b", 9.0)]
    assert len(parquet_files(store, "views")) == 2


def awkward_rows() -> Rows:
    """Missing, not a number, infinite, twice the same."""
    rows = views(None, float("inf"), 1e-300, 0.1)
    return [*rows, rows[-1], {"stage": "splat", "view": "no other column"}]


def test_rows_are_stored_exactly(store: Store) -> None:
    curve = [{"iteration": n, "loss": 1 / (n + 1), "gaussians": 2**53 + n} for n in range(9)]
    written = {"views": awkward_rows(), "training": [*curve, {"loss": 0.5}]}
    for table, rows in written.items():
        for scene in ("a", "b c", "日本"):
            write_rows(store, table, run="r", scene=scene, rows=rows)
        found = stored_rows(store, table)
        kept = [{name: row[name] for name in ("scene", *COLUMNS[table])} for row in found]
        expected = [
            {name: {**row, "scene": scene}.get(name) for name in ("scene", *COLUMNS[table])}
            for scene in ("a", "b c", "日本")
            for row in rows
        ]
        assert sorted(kept, key=repr) == sorted(expected, key=repr)
        assert len(read_table(store, table)) == len(expected)


def test_nan_and_missing_values_stay_distinct(store: Store) -> None:
    write_views(store, "r", "a", views(float("nan"), None))
    first, second = sorted(stored_rows(store, "views"), key=lambda row: row["view"])
    assert np.isnan(first["psnr_db"])
    assert second["psnr_db"] is None


RUNS = ("a", "a-", "a--b", "a--", "a,b", "a.parquet", "A", "")
SCENES = ("x", "b--x", "-b", "", "parquet", "b,x")


def test_runs_and_scenes_of_similar_names_do_not_mix(store: Store) -> None:
    expected = []
    for number, (run, scene) in enumerate((run, scene) for run in RUNS for scene in SCENES):
        write_views(store, run, scene, views(float(number)))
        expected.append((run, scene, float(number)))
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


def test_a_run_removed_while_a_table_is_read_is_missing_and_nothing_else_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_views(store, "removed", "a", views(1.0))
    write_views(store, "stays", "a", views(2.0))
    read: Callable[[Path], bytes] = Path.read_bytes

    def removing(path: Path) -> bytes:
        monkeypatch.undo()
        remove_run(store, "removed")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", removing)
    assert scores(store) == [("stays", "a", 2.0)]


@pytest.mark.parametrize("table", ["views", "scenes"])
def test_columns_that_are_asked_for_are_those_of_the_whole_table(store: Store, table: str) -> None:
    for scene in "abc":
        write_views(store, "r", scene, views(1.0, None))
        write_rows(store, "scenes", run="r", scene=scene, rows=[{"state": "failed", "ssim": 0.5}])
    whole = read_table(store, table)
    names = ["run", "scene", "ssim"]
    found = read_table(store, table, columns=names)
    pd.testing.assert_frame_equal(found, whole[names])


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
    assert not Path(store.root).exists()
