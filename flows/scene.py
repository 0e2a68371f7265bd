"""One scene, from its photographs to its rows in the tables: one flow run in one process."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from prefect import flow, tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Crashed

from flows.config import SceneConfig, StageName
from flows.orchestration.flow_run import end_with_worker, is_retry, show_life, tag_flow_run
from flows.orchestration.log_filters import log_errors_in_a_sentence
from flows.report.publish import show_page
from flows.report.run_page import run_page
from flows.report.scene_page import scene_page
from flows.runs.record import is_known, load_run, scene_tag, tag_of
from flows.settings import Settings
from flows.stages.pipeline import SceneArtefacts, find_source, reconstruct
from flows.stages.rows import Row, cost_of, describe, rows_of, selection_of, summary_of
from flows.stages.runner import StageRunner
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.schema import mark_schema
from storage.store import Store
from tasks.errors import TimeLimitError


@flow(name="scene", flow_run_name="{scene}", persist_result=False)
def reconstruct_scene(
    folder: str,
    scene: str,
    run: str,
    config: SceneConfig = SceneConfig(),
    recompute_from: StageName | None = None,
) -> None:
    """Photos in, splat and scores out.

    Args:
        folder: Folder of the scene's photos.
        scene: Name of the scene in tables and paths.
        run: Name of the run that its rows are kept under.
        config: Everything that changes its results.
        recompute_from: First stage to compute again, with all that follow, though cached.

    Raises:
        UnseenError: the photos or the machine did not allow it; the row in ``scenes`` says why.
    """
    show_life()
    log_errors_in_a_sentence()
    settings = Settings()
    machine = settings.machine()
    mark_schema(machine.store)  # also where no command prepared it: a scene submitted by hand
    ending = SceneEnd(store=machine.store, run=run, scene=scene, flow_run_id=UUID(flow_run.id))
    stages = StageRunner(
        machine=machine,
        run=run,
        scene=scene,
        recompute_from=recompute_from,
        limit_seconds=settings.stage_seconds,
        on_timeout=ending.time_out,
        on_result=say_inputs,
    )
    row: Row = {}
    artefacts = SceneArtefacts()
    try:
        with end_with_worker(), tags(*tag_flow_run(tag_of(run), scene_tag(scene))):
            source = find_source(
                Path(folder), config, settings.roots(), machine.trust, settings.lpips_file()
            )
            artefacts = reconstruct(stages, source, config)
        for table, rows in rows_of(artefacts).items():
            write_rows(machine.store, table, run=run, scene=scene, rows=rows)
        row = {"state": "completed", **summary_of(artefacts), **selection_of(artefacts, config)}
    except Exception as error:
        row = {"state": "failed", **describe(error)}
        raise
    finally:
        # Last, so that a completed row means that all is written; and not at all where the process
        # is being ended: then the dataset's flow writes the row.
        if row:
            ending.finish(row, stages.rows, artefacts)


def say_inputs(artefact: ArrayHandle) -> None:
    """Log what a stage used of the scene's input, where it says so."""
    for line in artefact.attributes.get("used", ()):
        get_run_logger().info("input: %s", line)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEnd:
    """Writes how a scene ended: its row in ``scenes``, and its page in Prefect's UI."""

    store: Store
    run: str
    scene: str
    flow_run_id: UUID
    started: float = field(default_factory=time.monotonic)

    def finish(self, row: Row, stages: Sequence[Row], artefacts: SceneArtefacts) -> None:
        """Show the page, then write the row; after a retry of the scene alone, its run's page.

        Args:
            row: the scene's, without its cost.
            stages: rows of its stages.
        """
        row = row | cost_of(stages, time.monotonic() - self.started)
        show_page(lambda: scene_page(self.scene, self.run, row, artefacts))
        self._write(row)
        if is_retry() and is_known(self.store, self.run):  # its dataset's flow has ended
            show_page(lambda: run_page(self.store, load_run(self.store, self.run)))

    def time_out(self, error: TimeLimitError, stages: Sequence[Row]) -> None:
        """Write that a stage hit its time limit, before the process ends."""
        row = {"state": "failed", **describe(error)}
        self._write(row | cost_of(stages, time.monotonic() - self.started))
        print(f"unseen: {error}", file=sys.stderr, flush=True)
        with get_client(sync_client=True) as client:
            crashed: State[None] = Crashed(message=str(error))
            client.set_flow_run_state(self.flow_run_id, crashed, force=True)

    def _write(self, row: Row) -> None:
        write_rows(self.store, "scenes", run=self.run, scene=self.scene, rows=[row])
