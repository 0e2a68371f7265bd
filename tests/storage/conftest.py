"""A store on the disk, and what stands in it."""

from pathlib import Path

import pytest

from storage import store as arrays
from storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(root=str(tmp_path / "store"))


@pytest.fixture
def tiny_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of a few hundred bytes then have several chunks and several shards."""
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 64)
    monkeypatch.setattr(arrays, "SHARD_BYTES", 256)
