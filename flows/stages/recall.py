"""Recall of complete scenes in the dispatcher, without starting a process.

A process takes seconds to import what it needs. A recall reads records and artefacts and compares
their digests; nothing of a scene runs that could take others along.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.config import SceneConfig
from flows.stages.pipeline import SceneArtefacts, find_source, reconstruct
from flows.stages.rows import Row, cost_of, rows_of, selection_of, summary_of
from storage.errors import UnseenError
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.store import Store
from tasks.caching import recorded, stage_key
from tasks.runtime.context import Device
from tasks.runtime.trust import Trust
from tasks.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledScene:
    """The artefacts of a complete scene, and its rows."""

    artefacts: SceneArtefacts
    row: Row
    """In ``scenes``."""
    stages: list[Row]

    def write(self, store: Store, run: str, scene: str) -> None:
        """Write all rows of the scene; that of ``scenes`` last: it means that the rest is there.

        Raises:
            StoreError: the store cannot be written.
        """
        tables = {"stages": self.stages, **rows_of(self.artefacts), "scenes": [self.row]}
        for table, rows in tables.items():
            write_rows(store, table, run=run, scene=scene, rows=rows)


def recall(
    folder: Path,
    scene: str,
    config: SceneConfig,
    *,
    store: Store,
    device: Device,
    roots: Sequence[Path],
    trust: Trust = Trust(),
    lpips_backbone: Path | None = None,
) -> RecalledScene | None:
    """Recall every stage of a scene, and verify every artefact.

    Args:
        folder: of the scene's photos.
        device: on which scenes run.
        roots: folders that links may lead to beside the scene's own.
        trust: in models of others.
        lpips_backbone: weights of LPIPS's backbone; None: torchvision's in torch's cache.

    Returns:
        None where a stage must run, or where anything is wrong: the scene's own process finds
        out what, and says it.
    """
    started = time.monotonic()
    stages = StageRecaller(store=store, device=device, scene=scene)
    try:
        source = find_source(folder, config, roots, trust, lpips_backbone)
        artefacts = reconstruct(stages, source, config)
        for handle in artefacts:  # now that it is known that all are there
            handle.verify()
        figures = summary_of(artefacts) | selection_of(artefacts, config)
    except (UnseenError, OSError, NotCachedError):
        return None
    seconds = time.monotonic() - started
    row = {"state": "completed", **figures, **cost_of(stages.rows, seconds)}
    return RecalledScene(artefacts=artefacts, row=row, stages=stages.rows)


class NotCachedError(Exception):
    """A stage has no record."""


@dataclass(slots=True, kw_only=True)
class StageRecaller:
    """A :class:`flows.stages.pipeline.Run` that reads the records of finished stages."""

    store: Store
    device: Device
    scene: str
    rows: list[Row] = field(default_factory=list)

    def __call__(self, stage: Stage, **inputs: Any) -> ArrayHandle:
        """
        Raises:
            NotCachedError: the stage has not run.
            StoreError: the store cannot be reached.
        """
        started = time.monotonic()
        handle = recorded(self.store, stage_key(stage, self.scene, inputs, self.device))
        if handle is None:
            raise NotCachedError
        self.rows.append(
            {
                "stage": stage.name,
                "seconds": time.monotonic() - started,
                "cached": True,
                "attempt": 1,
                "state": "completed",
                "digest": handle.digest,
                "uri": handle.uri,
            }
        )
        return handle
