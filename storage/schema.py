"""The version of a store's layout: a store of another version is named, never misread."""

import json

from storage.conversion import split_shared_files
from storage.errors import SchemaError
from storage.files import get, names_in, put
from storage.store import Store

SCHEMA = 3
"""Version of tables, records and stage names; 1 had no marker, 2 is converted."""
CONVERTED = 2
"""Its tables had one file for all scenes of a run that had ended."""
MARKER = "schema.json"
FOLDERS = ("runs", "metrics", "cache", "scenes")
"""What a store of version 1 holds."""


def check_schema(store: Store) -> bool:
    """Refuse a store that another version wrote; an empty one is of this version.

    A store of the version before is converted: without a word, for nothing is lost or recomputed.

    Returns:
        Whether the store is marked, which an empty one is not.

    Raises:
        SchemaError: it is of another version.
        IntegrityError: it is to be converted, and a table is damaged.
        StoreError: the store cannot be reached, or is to be converted and cannot be written.
    """
    found = _schema_of(store)
    if found == CONVERTED:
        split_shared_files(store)
        _mark(store)
    elif found not in (SCHEMA, None):
        raise SchemaError(
            f"the store {store.root} was written by another version of unseen (schema {found}, "
            f"this version reads {SCHEMA}), so its results would be misread; name another store "
            "with --store or UNSEEN_STORE, or use the version that wrote it"
        )
    return found is not None


def mark_schema(store: Store) -> None:
    """:func:`check_schema`, and mark a new store: before anything is written."""
    if not check_schema(store):
        _mark(store)


def prepare_store(store: Store) -> None:
    """:func:`mark_schema` of a store that can be written.

    Raises:
        StoreError: it cannot.
    """
    marked = check_schema(store)
    store.check_writable()
    if not marked:
        _mark(store)


def _mark(store: Store) -> None:
    put(store, MARKER, json.dumps({"schema": SCHEMA}).encode())


def _schema_of(store: Store) -> object:
    """The version in the marker; None of an empty store."""
    try:
        content = json.loads(get(store, MARKER))
    except FileNotFoundError:
        return 1 if any(names_in(store, folder) for folder in FOLDERS) else None
    except ValueError:
        return "unknown"
    return content.get("schema", "unknown") if isinstance(content, dict) else "unknown"
