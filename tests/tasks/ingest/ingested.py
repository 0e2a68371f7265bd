"""Photos artefacts that were never written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.ingest.artefact import Photos, PhotosContent
from tasks.ingest.config import IngestConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InMemory:
    """An artefact that was never written, its attributes through JSON as in a store."""

    arrays: Mapping[str, np.ndarray]
    attributes: Mapping[str, Any]

    def array(self, name: str) -> np.ndarray:
        return self.arrays[name]


def ingested(folder: Path, config: IngestConfig | None = None) -> tuple[Photos, InMemory]:
    content = PhotosContent(folder, config or IngestConfig())
    arrays = {array.name: array.values for array in content}
    stored = InMemory(arrays=arrays, attributes=json.loads(json.dumps(content.attributes())))
    return Photos(stored), stored
