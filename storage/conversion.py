"""Stores of schema 2, whose tables had one file for a run that had ended, to one file a scene.

``metrics/<table>/<run>.parquet`` held the rows of all scenes of the run, except of those that had a
file of their own again. Each such file is renamed out of the table, then its scenes' files are
written, then it is deleted. So a reader misses the rows of a run for a moment, and never sees one
twice. Killed at any point, the next call goes on; several may work at once.
"""

import pyarrow as pa
import pyarrow.compute as pc

from storage import parquet
from storage.files import get, move, names_in, put_new, remove
from storage.metrics import is_part, part_name
from storage.store import Store
from storage.tables import COLUMNS

ASIDE = "converting"
"""Folder of the files that are being split, as ``<table>/<run>.parquet``."""


def split_shared_files(store: Store) -> None:
    """Give each scene a file of its own; one that it has already supersedes its older rows.

    Raises:
        IntegrityError: a file is damaged; it is left where it is.
        StoreError: the store cannot be reached or written.
    """
    for table in COLUMNS:
        for name in names_in(store, f"metrics/{table}"):
            if is_part(name) or not name.endswith(".parquet"):
                continue
            _split(store, table, f"metrics/{table}/{name}", dry=True)
            move(store, f"metrics/{table}/{name}", f"{ASIDE}/{table}/{name}")
            _split(store, table, f"{ASIDE}/{table}/{name}")
        # Those that a killed conversion left behind, or that another is at.
        for name in names_in(store, f"{ASIDE}/{table}"):
            _split(store, table, f"{ASIDE}/{table}/{name}")


def _split(store: Store, table: str, key: str, *, dry: bool = False) -> None:
    """Write the files of the scenes in a file, then delete it.

    Args:
        dry: only see that it can be read.
    """
    try:
        rows = parquet.from_bytes(get(store, key), store.address(key))
    except FileNotFoundError:  # another process has split it meanwhile
        return
    if dry:
        return
    pairs = zip(rows["run"].to_pylist(), rows["scene"].to_pylist(), strict=True)
    for run, scene in sorted(set(pairs)):
        of_scene = pc.and_(pc.equal(rows["run"], run), pc.equal(rows["scene"], scene))
        own: pa.Table = rows.filter(of_scene)
        put_new(store, f"metrics/{table}/{part_name(run, scene)}", parquet.to_bytes(own))
    remove(store, key)
