"""Stores of schema 2, with one file for a run that had ended, are converted wholly or again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import parquet
from storage.errors import IntegrityError
from storage.files import get, names_in, put
from storage.metrics import read_scene, read_table, schema_of, table_faults
from storage.schema import SCHEMA, check_schema, mark_schema, prepare_store
from storage.store import Store
from tests.support.every_instant import at_every_instant
from tests.support.readers_of_files import by_pandas

REPOSITORY = Path(__file__).parents[2]

WRITTEN = {("r", "a"): 3, ("r", "b"): 2, ("r", "é,x"): 1, ("q", "a"): 4}
"""Rows of each scene in the files that scenes share."""
AGAIN = ("r", "b")
"""Has a file of its own with one row, of a later PSNR, that supersedes those."""
EXPECTED = {key: (rows, 1.0, 1.0) for key, rows in WRITTEN.items()} | {AGAIN: (1, 9.0, 9.0)}

KILLED_EVERYWHERE = """
import os, sys
from pathlib import Path
from storage.schema import mark_schema
from storage.store import Store
from tests.storage.test_conversion import EXPECTED, old_store
from tests.support.every_instant import at_every_instant
from tests.support.readers_of_files import by_pandas

for point in range(1, 1000):
    store = Store(root=f"{sys.argv[1]}/{point}")
    old_store(store)
    if os.fork() == 0:
        left = point

        def die(event):
            global left
            left -= 1
            if left == 0 or event == "end":
                os._exit(0 if event == "end" else 9)

        with at_every_instant(die):
            mark_schema(store)
    died = os.waitstatus_to_exitcode(os.wait()[1])
    mark_schema(store)
    found = by_pandas(f"{store.root}/metrics/views/*.parquet")
    assert found == EXPECTED, (point, found)
    assert Path(store.root, "schema.json").read_text() == '{"schema": 3}', point
    assert not [path for path in Path(store.root, "converting").rglob("*") if path.is_file()]
    if died == 0:
        print("points", point)
        break
"""


def rows_of(run: str, scene: str, rows: int, psnr_db: float) -> list[dict[str, Any]]:
    return [
        {"run": run, "scene": scene, "view": str(row), "psnr_db": psnr_db} for row in range(rows)
    ]


def put_rows(store: Store, name: str, rows: list[dict[str, Any]]) -> None:
    content = pa.Table.from_pylist(rows, schema=schema_of("views"))
    put(store, f"metrics/views/{name}.parquet", parquet.to_bytes(content))


def old_store(store: Store) -> None:
    """As schema 2 left it: two runs ended, then a scene of one was run again."""
    for run in ("r", "q"):
        shared = [row for key, n in WRITTEN.items() if key[0] == run for row in rows_of(*key, n, 1)]
        put_rows(store, run, shared)
    put_rows(store, ",".join(AGAIN), rows_of(*AGAIN, 1, 9))
    put(store, "schema.json", json.dumps({"schema": 2}).encode())


@pytest.fixture(params=["disk", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    root = tmp_path / "store" if request.param == "disk" else f"memory://{tmp_path}/store"
    return Store(root=str(root))


@pytest.mark.parametrize("prepare", [check_schema, mark_schema, prepare_store])
def test_each_scene_of_an_older_store_has_a_file_of_its_own(store: Store, prepare: Any) -> None:
    old_store(store)
    prepare(store)
    assert names_in(store, "metrics/views") == [
        "q,a.parquet",
        "r,%C3%A9%2Cx.parquet",
        "r,a.parquet",
        "r,b.parquet",
    ]
    whole = read_table(store, "views")
    assert len(whole) == sum(rows for rows, _, _ in EXPECTED.values())
    for (run, scene), (rows, psnr_db, _) in EXPECTED.items():
        found = read_scene(store, "views", run=run, scene=scene)
        assert found["psnr_db"].tolist() == [psnr_db] * rows
    assert list(table_faults(store)) == []
    assert json.loads(get(store, "schema.json")) == {"schema": SCHEMA}
    prepare(store)
    assert len(read_table(store, "views")) == len(whole)


def test_a_conversion_killed_at_any_point_is_ended_by_the_next(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", KILLED_EVERYWHERE, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert int(said.stdout.split()[1]) > 30


def test_a_scene_is_never_seen_twice_during_a_conversion(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    old_store(store)
    (tmp_path / "metrics/views/r,b.parquet").unlink()  # which schema 2 had readers see twice
    seen = []
    with at_every_instant(lambda _: seen.append(by_pandas(f"{tmp_path}/metrics/views/*.parquet"))):
        mark_schema(store)
    for rows in seen:
        assert all(rows[key] == (WRITTEN[key], 1.0, 1.0) for key in rows)
    assert seen[-1].keys() == WRITTEN.keys()


def test_two_conversions_at_once_lose_nothing_and_neither_ends_before_all_is_done(
    tmp_path: Path,
) -> None:
    """Another process converts the whole store between any two steps of ours."""
    for point in range(200):
        store = Store(root=str(tmp_path / str(point)))
        old_store(store)
        left = point

        def step_in(event: str, store: Store = store) -> None:
            nonlocal left
            if left == 0 and event != "end":
                mark_schema(store)
            left -= 1

        with at_every_instant(step_in):
            mark_schema(store)
        assert by_pandas(f"{store.root}/metrics/views/*.parquet") == EXPECTED, point
        if left >= 0:
            break
    assert point > 30


def test_a_damaged_file_is_named_and_left_where_it_is(store: Store) -> None:
    old_store(store)
    put(store, "metrics/views/r.parquet", b"PAR1")
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"metrics/views/r\.parquet .* is damaged"):
            mark_schema(store)
    assert "r.parquet" in names_in(store, "metrics/views")


def test_rows_of_a_converted_file_are_those_of_the_shared_one(tmp_path: Path) -> None:
    store = Store(root=str(tmp_path))
    old_store(store)
    shared = pq.read_table(tmp_path / "metrics/views/q.parquet")
    mark_schema(store)
    assert pq.read_table(tmp_path / "metrics/views/q,a.parquet").equals(shared)
