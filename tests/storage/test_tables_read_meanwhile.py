"""Tables stay readable, and right, while other processes write and compact them."""

import subprocess
import sys
from pathlib import Path

import duckdb

from storage.metrics import compact, read_table
from storage.store import Store

REPOSITORY = Path(__file__).parents[2]
SCENES = 12
ROWS = 40

WRITER = """
import sys
from storage.store import Store
from storage.metrics import write_rows

store, scenes, rows = Store(root=sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for scene in range(scenes):
    views = [{"stage": "splat", "view": str(row), "psnr_db": float(scene)} for row in range(rows)]
    for _ in range(3):
        write_rows(store, "views", run="r", scene=str(scene), rows=views)
"""


def test_concurrent_readers_get_all_rows_of_a_scene_or_none(store: Store) -> None:
    words = [sys.executable, "-c", WRITER, store.root, str(SCENES), str(ROWS)]
    pattern = f"{store.root}/metrics/views/*.parquet"
    with subprocess.Popen(words, cwd=REPOSITORY) as writer:
        ended = False
        while not ended:
            ended = writer.poll() is not None
            rows = read_table(store, "views")
            assert set(rows.groupby("scene").size()) <= {ROWS}
            assert (rows["psnr_db"] == rows["scene"].astype(float)).all()
            if len(rows):  # and so does a reader that knows nothing of us
                query = f"SELECT scene, count(*) FROM '{pattern}' GROUP BY ALL"
                assert {count for _, count in duckdb.sql(query).fetchall()} == {ROWS}
            if len(rows) == SCENES * ROWS // 2:
                compact(store, "r")
    assert writer.returncode == 0
    assert len(read_table(store, "views")) == SCENES * ROWS
    compact(store, "r")
    assert len(read_table(store, "views")) == SCENES * ROWS
