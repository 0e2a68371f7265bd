"""Artefacts that are kept in memory."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from storage.store import NamedArray, Writer
from tasks.ingest.artefact import Photos, write_photos
from tasks.ingest.config import IngestConfig


class InMemory(Writer):
    """An artefact that is not stored: arrays are added as to a writer and read as from a handle."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.attributes: Mapping[str, Any] = {}

    def add_all(self, arrays: Iterable[NamedArray]) -> None:
        for array in arrays:
            self.add(array.name, array.values, array.dims)

    def add(self, name: str, values: np.ndarray, dims: tuple[str, ...]) -> None:
        assert len(dims) == values.ndim
        assert name not in self.arrays
        self.arrays[name] = np.array(values)

    def array(self, name: str) -> np.ndarray:
        return self.arrays[name]


def ingested(folder: Path, config: IngestConfig | None = None) -> tuple[Photos, InMemory]:
    stored = InMemory()
    attributes = write_photos(stored, folder, config or IngestConfig())
    stored.attributes = json.loads(json.dumps(attributes))  # as from a store
    return Photos(stored), stored
