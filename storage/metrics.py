"""Tables of metrics: parquet files that any tool reads, one directory a table.

A scene's flow writes ``<store>/metrics/<table>/<run>,<scene>.parquet`` and replaces it whole, so a
scene that is run again supersedes its own rows. After a run its files become one ``<run>.parquet``;
a scene that has a file of its own again supersedes its rows in there.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from storage import parquet
from storage.errors import IntegrityError, StoreError
from storage.files import get, names_in, put, remove
from storage.names import object_name
from storage.store import Store
from storage.tables import COLUMNS, COMMON, TABLES

SEPARATOR = ","
"""Of run and scene in a file's name: no name of an object holds one, so no two are confused."""
READINGS = 5
"""How often a table is read that is compacted meanwhile."""


def schema_of(table: str) -> pa.Schema:
    """The arrow schema of one table; every file of a table has the same."""
    columns = {**COMMON, **TABLES[table]}
    return pa.schema([pa.field(name, column.type) for name, column in columns.items()])


def write_rows(
    store: Store, table: str, *, run: str, scene: str, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Replace the rows of one scene of one run; columns a row lacks are null.

    Raises:
        ValueError: a row has a column that the table does not have.
        StoreError: the store is full or cannot be written.
    """
    columns = TABLES[table]
    now = datetime.now(UTC)
    records = []
    for row in rows:
        if unknown := set(row) - set(columns):
            raise ValueError(f"table {table} has no column {sorted(unknown)}")
        records.append({"run": run, "scene": scene, "written_at": now, **row})
    content = pa.Table.from_pylist(records, schema=schema_of(table))
    _write_parquet(store, table, _part_name(run, scene), content)


def read_table(store: Store, table: str, *, run: str | None = None) -> pd.DataFrame:
    """The rows of a table, of one run or of all; a scene's newest writing wins."""
    frame: pd.DataFrame = _read_rows(store, table, run)[1].to_pandas(use_threads=False)
    return frame


def read_scene(store: Store, table: str, *, run: str, scene: str) -> pd.DataFrame:
    """The rows of one scene of a run, of which no other scene's file is read."""
    rows = _read_rows(store, table, run, scene)[1]
    frame: pd.DataFrame = rows.to_pandas(use_threads=False)
    return frame[frame["scene"] == scene]


def compact(store: Store, run: str) -> None:
    """Make one file a table of a run whose scenes have ended.

    Cut off anywhere, no row is lost or counted twice.
    """
    for table in COLUMNS:
        files, rows = _read_rows(store, table, run)
        parts = [name for name in files if SEPARATOR in name]
        if not parts:
            continue
        _write_parquet(store, table, f"{object_name(run)}.parquet", rows)
        for name in parts:
            remove(store, f"metrics/{table}/{name}")


def remove_run(store: Store, run: str) -> None:
    """Delete the rows of a run from all tables.

    Raises:
        StoreError: the store cannot be written.
    """
    for table in COLUMNS:
        for name in _files(store, table, run):
            remove(store, f"metrics/{table}/{name}")


def remove_damaged_rows(store: Store, run: str, scenes: Iterable[str]) -> Mapping[str, list[str]]:
    """Delete the files of a run's single scenes that cannot be read.

    The file that a run's scenes share after :func:`compact` stays: it holds others' rows too.

    Returns:
        The tables of which a scene lost its rows, by the scene.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    lost: dict[str, list[str]] = {}
    scene_of = {_part_name(run, scene): scene for scene in scenes}
    for table in COLUMNS:
        for name in scene_of.keys() & set(_files(store, table, run)):
            try:
                _read_parquet(store, table, name, ())
            except IntegrityError:
                remove(store, f"metrics/{table}/{name}")
                lost.setdefault(scene_of[name], []).append(table)
    return lost


def table_faults(store: Store, run: str | None = None) -> Iterator[IntegrityError]:
    """An error for each file of a table, or of one run in it, that cannot be read.

    Raises:
        StoreError: the store cannot be reached.
    """
    for table in COLUMNS:
        for name in _files(store, table, run):
            try:
                _read_parquet(store, table, name, ())
            except IntegrityError as error:
                yield error
            except FileNotFoundError:  # compacted after it was listed
                continue


def _part_name(run: str, scene: str) -> str:
    return f"{object_name(run)}{SEPARATOR}{object_name(scene)}.parquet"


def _read_rows(
    store: Store, table: str, run: str | None, scene: str | None = None
) -> tuple[Sequence[str], pa.Table]:
    """The files of a table, or of one run of it, and the rows in them that count.

    Args:
        scene: of the run; what only other scenes' rows are in is left out.
    """
    for _ in range(READINGS):
        files = _files(store, table, run)
        if run is not None and scene is not None:
            may_hold = (f"{object_name(run)}.parquet", _part_name(run, scene))
            files = [name for name in files if name in may_hold]
        try:
            tables = [_read_parquet(store, table, name, frozenset(files)) for name in files]
        except FileNotFoundError:  # compacted after it was listed
            continue
        return files, pa.concat_tables([schema_of(table).empty_table(), *tables])
    raise StoreError(
        f"the files of table {table} in {store.root} changed while they were read, {READINGS} "
        "times in turn, so their rows would not be whole; try again when the run has ended"
    )


def _files(store: Store, table: str, run: str | None) -> Sequence[str]:
    names = [name for name in names_in(store, f"metrics/{table}") if name.endswith(".parquet")]
    if run is None:
        return names
    stem = object_name(run)
    parts = f"{stem}{SEPARATOR}"
    return [name for name in names if name == f"{stem}.parquet" or name.startswith(parts)]


def _read_parquet(store: Store, table: str, name: str, files: Collection[str]) -> pa.Table:
    """The rows of one file, less those that another of the files supersedes."""
    place = f"metrics/{table}/{name}"
    found = parquet.from_bytes(get(store, place), store.address(place))
    schema = schema_of(table)
    # Columns that a newer version added are null in files of an older one.
    columns = [
        found[field.name].cast(field.type)
        if field.name in found.column_names
        else pa.nulls(len(found), field.type)
        for field in schema
    ]
    rows = pa.Table.from_arrays(columns, schema=schema)
    if SEPARATOR in name:
        return rows
    scenes = zip(rows["run"].to_pylist(), rows["scene"].to_pylist(), strict=True)
    counts = [_part_name(run, scene) not in files for run, scene in scenes]
    return rows.filter(pa.array(counts, pa.bool_()))


def _write_parquet(store: Store, table: str, name: str, content: pa.Table) -> None:
    put(store, f"metrics/{table}/{name}", parquet.to_bytes(content))
