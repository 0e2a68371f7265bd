"""Small files are replaced atomically for concurrent readers and listings."""

import os
import threading
from pathlib import Path

import pytest

from storage.files import get, names_in, put, remove
from storage.store import Store


@pytest.fixture(params=["disk", "url"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    root = tmp_path / "store" if request.param == "disk" else f"memory://{tmp_path}/store"
    return Store(root=str(root))


def test_a_file_is_read_back_and_can_be_replaced(any_store: Store) -> None:
    put(any_store, "runs/a.json", b"first, and longer")
    put(any_store, "runs/a.json", b"second")
    assert get(any_store, "runs/a.json") == b"second"


def test_files_are_listed_by_name(any_store: Store) -> None:
    assert names_in(any_store, "runs") == []
    for name in ("b.json", "a b.json", "ü.json", ".hidden"):
        put(any_store, f"runs/{name}", b"")
    put(any_store, "other/c.json", b"")
    assert names_in(any_store, "runs") == ["a b.json", "b.json", "ü.json"]


def test_a_removed_file_is_gone_and_may_be_removed_again(any_store: Store) -> None:
    put(any_store, "runs/a.json", b"x")
    remove(any_store, "runs/a.json")
    remove(any_store, "runs/a.json")
    assert names_in(any_store, "runs") == []
    with pytest.raises(FileNotFoundError):
        get(any_store, "runs/a.json")


def test_the_longest_names_fit_the_file_system(store: Store) -> None:
    name = "x" * 120 + "," + "y" * 120 + ".parquet"
    put(store, f"metrics/views/{name}", b"1")
    assert names_in(store, "metrics/views") == [name]


def test_concurrent_readers_get_one_complete_version(store: Store) -> None:
    contents = [bytes([letter]) * 100_000 for letter in b"abc"]
    put(store, "f", contents[0])
    writers = [
        threading.Thread(
            target=lambda content=content: [put(store, "f", content) for _ in range(9)]
        )
        for content in contents
    ]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(get(store, "f"))
    assert seen <= set(contents)
    assert os.listdir(store.staging) == []  # noqa: PTH208
