"""How long tables of many scenes take to read: one file a scene, against one file for all.

    python benchmarks/tables.py --scenes 1000 10000

The rows are those of ``scenes``, the widest table, and of ``views`` with 40 photos a scene.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from storage import parquet
from storage.metrics import part_name, read_table, schema_of
from storage.store import Store

ROWS: dict[str, tuple[dict[str, Any], int]] = {
    "scenes": ({"state": "completed", "psnr_db": 20.1, "ssim": 0.8, "photos": 12}, 1),
    "views": ({"stage": "splat", "view": "a.jpg", "split": "train", "psnr_db": 20.0}, 40),
}
"""A row of each table, and its number in a scene."""
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, nargs="+", default=[1000, 10_000])
    asked = parser.parse_args()
    print("| scenes | table | reader | a file a scene, s | one file, s |\n|---|---|---|---|---|")
    for scenes in asked.scenes:
        for table in ROWS:
            with tempfile.TemporaryDirectory() as folder:
                for reader, many, one in _times(Path(folder), table, scenes):
                    print(
                        f"| {scenes} | `{table}` | {reader} | {many:.2f} | {one:.3f} |", flush=True
                    )


def _times(folder: Path, table: str, scenes: int) -> Iterator[tuple[str, float, float]]:
    several, shared = Store(root=str(folder / "several")), Store(root=str(folder / "shared"))
    _write(several, shared, table, scenes)
    columns = ("scene", "psnr_db")

    def by_duckdb(store: Store) -> None:
        duckdb.sql(f"SELECT scene, psnr_db FROM '{store.root}/metrics/{table}/*.parquet'").df()

    def all_by_duckdb(store: Store) -> None:
        duckdb.sql(f"SELECT * FROM '{store.root}/metrics/{table}/*.parquet'").df()

    readers: dict[str, Callable[[Store], object]] = {
        "DuckDB, 2 columns": by_duckdb,
        "DuckDB, all columns": all_by_duckdb,
        "pandas, all columns": lambda store: pd.read_parquet(f"{store.root}/metrics/{table}"),
        "ours, 2 columns": lambda store: read_table(store, table, columns=columns),
        "ours, all columns": lambda store: read_table(store, table),
    }
    for name, read in readers.items():
        yield name, _seconds(read, several), _seconds(read, shared)


def _write(several: Store, shared: Store, table: str, scenes: int) -> None:
    row, count = ROWS[table]
    for store in (several, shared):
        Path(store.root, "metrics", table).mkdir(parents=True)
    parts = []
    for number in range(scenes):
        scene = f"scene {number}"
        now = {"run": "r", "scene": scene, "written_at": datetime.now(UTC)}
        part = pa.Table.from_pylist([{**now, **row}] * count, schema=schema_of(table))
        path = Path(several.root, "metrics", table, part_name("r", scene))
        path.write_bytes(parquet.to_bytes(part))
        parts.append(part)
    path = Path(shared.root, "metrics", table, part_name("r", "all"))
    path.write_bytes(parquet.to_bytes(pa.concat_tables(parts)))


def _seconds(read: Callable[[Store], object], store: Store) -> float:
    """The least of several, for other work on the machine only adds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        read(store)
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
