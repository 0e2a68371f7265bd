"""Scenes of which all is done already: recalled by who would start them, without a process each.

A process takes seconds to import what it needs, and nothing of a scene runs that could take others
along: records and artefacts are read, and their digests compared.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.tasks import Task

from flows.orchestration.server import is_for_this_machine
from flows.runs.manifest import SceneEntry
from flows.scene import run_stages
from flows.settings import Settings
from flows.stages.rows import Row, cost_of, rows_of, summary_of
from storage.errors import UnseenError
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.store import Store
from tasks.caching import key_of, recorded
from tasks.runtime.context import Device, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What the stages of a scene made when they ran, and the rows that say so."""

    artefacts: dict[str, ArrayHandle]
    row: Row
    """In ``scenes``."""
    stages: list[Row]

    def write(self, store: Store, run: str, scene: str) -> None:
        """Write all rows of the scene, that of ``scenes`` last: it means that the rest is there.

        Raises:
            StoreError: the store cannot be written.
        """
        tables = {"stages": self.stages, **rows_of(self.artefacts), "scenes": [self.row]}
        for table, rows in tables.items():
            write_rows(store, table, run=run, scene=scene, rows=rows)


def recall(entry: SceneEntry, settings: Settings, roots: Sequence[Path]) -> Recalled | None:
    """Recall every stage of a scene; None where one must run, or where anything is wrong.

    What is wrong, the scene's own process finds out and says.

    Args:
        settings: of the processes that scenes run in.
        roots: folders that links may lead to beside the scene's own.
    """
    device = _device_of(settings)
    if device is None:
        return None
    started = time.monotonic()
    stages = _Recaller(site=Site(store=settings.open_store(), device=device), scene=entry.name)
    try:
        artefacts = run_stages(stages, entry.folder, entry.config, roots)
        for handle in artefacts.values():  # now that it is known that there are all
            handle.verify()
        figures = summary_of(artefacts)
    except (UnseenError, OSError, _NotDoneError):
        return None
    seconds = time.monotonic() - started
    row = {"state": "completed", **figures, **cost_of(stages.rows, seconds)}
    return Recalled(artefacts=artefacts, row=row, stages=stages.rows)


def _device_of(settings: Settings) -> Device | None:
    """That scenes run on; None where only they can tell."""
    if settings.device != "auto":
        return settings.device
    return settings.site().device if is_for_this_machine() else None


class _NotDoneError(Exception):
    """A stage has no record."""


@dataclass(slots=True, kw_only=True)
class _Recaller:
    """Looks a scene's stages up, as :class:`flows.stages.runner.StageRunner` runs them."""

    site: Site
    scene: str
    rows: list[Row] = field(default_factory=list)

    def __call__(
        self, stage: Task[..., ArrayHandle], *inputs: ArrayHandle, **parameters: Any
    ) -> ArrayHandle:
        started = time.monotonic()
        key = key_of(stage, self.scene, *inputs, site=self.site, **parameters)
        handle = recorded(self.site.store, key) if key else None
        if handle is None:
            raise _NotDoneError
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
