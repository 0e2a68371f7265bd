"""Photos artefacts that were never written."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from storage.store import NamedArray
from tasks.ingest.artefact import Photos, PhotosContent
from tasks.ingest.config import IngestConfig


class InMemory:
    """An artefact that was never written, its attributes through JSON as in a store."""

    def __init__(self, arrays: Iterable[NamedArray], attributes: Mapping[str, Any]) -> None:
        self.arrays = {array.name: np.array(array.values) for array in arrays}
        self.attributes: Mapping[str, Any] = json.loads(json.dumps(attributes))

    def array(self, name: str) -> np.ndarray:
        return self.arrays[name]


def ingested(folder: Path, config: IngestConfig | None = None) -> tuple[Photos, InMemory]:
    content = PhotosContent(folder, config or IngestConfig())
    arrays = list(content)
    stored = InMemory(arrays, content.attributes())
    return Photos(stored), stored
