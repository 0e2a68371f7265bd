"""Tables of metrics: parquet files that any tool reads, one directory a table.

A scene's flow writes ``<store>/metrics/<table>/<run>,<scene>.parquet`` and replaces it at once, so
a scene that is run again supersedes its own rows. These are all the files there are: no row is ever
in two of them, or moves from one to another, and whoever reads them all, at any time and with any
tool, has each scene's rows once.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa

from storage import parquet
from storage.errors import IntegrityError
from storage.files import get, names_in, put, remove
from storage.names import object_name
from storage.store import Store
from storage.tables import COLUMNS, COMMON, TABLES

SEPARATOR = ","
"""Of run and scene in a file's name: no name of an object holds one, so no two are confused."""
THREADS = 32
"""That read from a URL, where a file is waited for; a disk's are decoded as fast by one."""

Answer = TypeVar("Answer")


def schema_of(table: str, columns: Collection[str] | None = None) -> pa.Schema:
    """The arrow schema of one table, which every file of it has; or of some of its columns."""
    all_columns = {**COMMON, **TABLES[table]}
    return pa.schema(
        [
            pa.field(name, column.type)
            for name, column in all_columns.items()
            if columns is None or name in columns
        ]
    )


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
    put(store, f"metrics/{table}/{part_name(run, scene)}", parquet.to_bytes(content))


def read_table(
    store: Store, table: str, *, run: str | None = None, columns: Collection[str] | None = None
) -> pd.DataFrame:
    """The rows of a table, of one run or of all.

    Args:
        columns: the only ones to read, which takes less time; None for all.

    Raises:
        IntegrityError: a file is damaged.
        StoreError: the store cannot be reached.
    """
    schema = schema_of(table, columns)
    found = _mapped(
        store, lambda name: _rows(store, table, name, schema), _files(store, table, run)
    )
    frame: pd.DataFrame = _joined(schema, found).to_pandas(use_threads=False)
    return frame


def read_scene(store: Store, table: str, *, run: str, scene: str) -> pd.DataFrame:
    """The rows of one scene of a run; no other scene's file is touched.

    Raises:
        IntegrityError: its file is damaged.
        StoreError: the store cannot be reached.
    """
    schema = schema_of(table)
    rows = _joined(schema, [_rows(store, table, part_name(run, scene), schema)])
    frame: pd.DataFrame = rows.to_pandas(use_threads=False)
    return frame


def remove_run(store: Store, run: str) -> None:
    """Delete the rows of a run from all tables.

    Raises:
        StoreError: the store cannot be written.
    """
    for table in COLUMNS:
        for name in _files(store, table, run):
            remove(store, f"metrics/{table}/{name}")


def remove_damaged_rows(store: Store, run: str, scenes: Iterable[str]) -> Mapping[str, list[str]]:
    """Delete the files of a run's scenes that cannot be read.

    Returns:
        The tables of which a scene lost its rows, by the scene.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    lost: dict[str, list[str]] = {}
    scene_of = {part_name(run, scene): scene for scene in scenes}
    for table in COLUMNS:
        names = sorted(scene_of.keys() & set(_files(store, table, run)))
        faults = _mapped(store, partial(_fault, store, table), names)
        for name, fault in zip(names, faults, strict=True):
            if fault:
                remove(store, f"metrics/{table}/{name}")
                lost.setdefault(scene_of[name], []).append(table)
    return lost


def table_faults(store: Store, run: str | None = None) -> Iterator[IntegrityError]:
    """An error for each file of a table, or of one run in it, that cannot be read.

    Raises:
        StoreError: the store cannot be reached.
    """
    for table in COLUMNS:
        names = _files(store, table, run)
        faults = _mapped(store, partial(_fault, store, table), names)
        yield from (fault for fault in faults if fault)
        for name in names_in(store, f"metrics/{table}") if run is None else ():
            if name.endswith(".parquet") and not is_part(name):
                yield IntegrityError(
                    f"{store.address(f'metrics/{table}/{name}')} is no file of a scene, so its "
                    "rows do not count; an earlier version of unseen may have written it since "
                    "this store was converted: delete it, then 'unseen resume' with the run's name "
                    "writes its scenes' rows again"
                )


def part_name(run: str, scene: str) -> str:
    """The name of the file with a scene's rows."""
    return f"{object_name(run)}{SEPARATOR}{object_name(scene)}.parquet"


def is_part(name: str) -> bool:
    """Whether a file of a table is one of a scene."""
    return SEPARATOR in name and name.endswith(".parquet")


def _files(store: Store, table: str, run: str | None) -> Sequence[str]:
    start = "" if run is None else f"{object_name(run)}{SEPARATOR}"
    names = names_in(store, f"metrics/{table}")
    return [name for name in names if name.startswith(start) and is_part(name)]


def _mapped(
    store: Store, function: Callable[[str], Answer], names: Sequence[str]
) -> Sequence[Answer]:
    """What the function says of each name, in order."""
    if store.local is not None:
        return [function(name) for name in names]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, names))


def _rows(store: Store, table: str, name: str, schema: pa.Schema) -> pa.Table | None:
    """The rows of one file; None where it does not exist, or was removed since it was listed."""
    place = f"metrics/{table}/{name}"
    try:
        content = get(store, place)
    except FileNotFoundError:
        return None
    found = parquet.from_bytes(content, store.address(place), schema.names)
    if found.schema.equals(schema):
        return found
    # Columns that a newer version added are null in files of an older one.
    columns = [
        found[field.name].cast(field.type)
        if field.name in found.column_names
        else pa.nulls(len(found), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _joined(schema: pa.Schema, tables: Iterable[pa.Table | None]) -> pa.Table:
    return pa.concat_tables([schema.empty_table(), *(rows for rows in tables if rows is not None)])


def _fault(store: Store, table: str, name: str) -> IntegrityError | None:
    """What is wrong with a file, if anything is."""
    place = f"metrics/{table}/{name}"
    try:
        parquet.check(get(store, place), store.address(place))
    except IntegrityError as error:
        return error
    except FileNotFoundError:  # removed since it was listed
        return None
    return None
