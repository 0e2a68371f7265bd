"""Stores of this schema version are accepted, others are refused by name."""

import json
from pathlib import Path

import pytest

from storage.errors import SchemaError
from storage.schema import SCHEMA, check_schema, mark_schema, prepare_store
from storage.store import Store


def test_a_new_store_is_marked_and_accepted_again(store: Store) -> None:
    check_schema(store)
    prepare_store(store)
    assert json.loads((Path(store.root) / "schema.json").read_text()) == {"schema": SCHEMA}
    (Path(store.root) / "runs").mkdir()
    (Path(store.root) / "runs" / "one.json").write_text("{}")
    prepare_store(store)


@pytest.mark.parametrize("folder", ["runs", "metrics", "cache", "scenes"])
def test_a_store_without_a_marker_is_reported_as_schema_1(store: Store, folder: str) -> None:
    held = Path(store.root) / folder / "before"
    held.mkdir(parents=True)
    (held / "file").write_text("x")
    for check in (check_schema, mark_schema, prepare_store):
        with pytest.raises(SchemaError, match=r"schema 1, this version reads \d+.*--store"):
            check(store)
    assert not (Path(store.root) / "schema.json").exists()


@pytest.mark.parametrize("content", ['{"schema": 1}', '{"schema": 99}', "{}", "[]", "cut o"])
def test_a_marker_of_another_schema_is_refused(store: Store, content: str) -> None:
    Path(store.root).mkdir()
    (Path(store.root) / "schema.json").write_text(content)
    with pytest.raises(SchemaError, match="another version"):
        check_schema(store)


def test_a_store_that_a_flow_marks_is_taken_when_it_holds_results(store: Store) -> None:
    mark_schema(store)
    held = Path(store.root) / "metrics" / "scenes"
    held.mkdir(parents=True)
    (held / "one.parquet").write_text("x")
    assert check_schema(store)
    mark_schema(store)
    prepare_store(store)
