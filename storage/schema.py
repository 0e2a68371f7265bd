"""The version of a store's layout: a store of another version is named, never misread."""

import json

from storage.errors import SchemaError
from storage.files import get, names_in, put
from storage.store import Store

SCHEMA = 2
"""Version of tables, records and stage names; 1 had no marker."""
MARKER = "schema.json"
FOLDERS = ("runs", "metrics", "cache", "scenes")
"""What a store of version 1 holds."""


def check_schema(store: Store) -> bool:
    """Refuse a store that another version wrote; an empty one is of this version.

    Returns:
        Whether the store is marked, which an empty one is not.

    Raises:
        SchemaError: it is of another version.
        StoreError: the store cannot be reached.
    """
    found = _schema_of(store)
    if found not in (SCHEMA, None):
        raise SchemaError(
            f"the store {store.root} was written by another version of unseen (schema {found}, "
            f"this version reads {SCHEMA}), so its results would be misread; name another store "
            "with --store or UNSEEN_STORE, or use the version that wrote it"
        )
    return found is not None


def mark_schema(store: Store) -> None:
    """Check that a store is of this version, and mark a new one: before anything is written.

    Raises:
        SchemaError: it is of another version.
        StoreError: it cannot be reached or written.
    """
    if not check_schema(store):
        _mark(store)


def prepare_store(store: Store) -> None:
    """Check that a store is of this version and can be written, and mark a new one.

    Raises:
        SchemaError: it is of another version.
        StoreError: it cannot be reached or written.
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
