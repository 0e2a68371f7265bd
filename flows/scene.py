"""One scene, from its photographs to its rows in the tables: one flow run in one process."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, tags
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.states import Crashed

from flows.config import SceneConfig, Stage
from flows.orchestration.flow_run import end_with_worker, is_retry, show_life
from flows.orchestration.log_filters import log_errors_in_a_sentence
from flows.orchestration.tagging import tag_flow_run
from flows.report.publish import show_page
from flows.report.run_page import run_page
from flows.report.scene_page import scene_page
from flows.runs.record import is_known, load_run, scene_tag, tag_of
from flows.settings import Settings
from flows.stages.rows import cost_of, rows_of, summary_of
from flows.stages.runner import StageRunner
from storage.errors import UnseenError
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from tasks.distil.task import distil_views, fit_control
from tasks.errors import TimeLimitError
from tasks.evaluate.task import evaluate_scene
from tasks.ingest.containment import files_inside
from tasks.ingest.source import digest_files
from tasks.ingest.task import ingest_photos
from tasks.refine.task import refine_views, refine_views_jointly
from tasks.refine.weights import find_weights
from tasks.sfm.task import reconstruct_cameras
from tasks.splat.init.ply_source import find_start
from tasks.splat.task import fit_member, fit_splat
from tasks.views.task import render_views


@flow(name="scene", flow_run_name="{scene}", persist_result=False)
def reconstruct_scene(
    folder: str,
    scene: str,
    run: str,
    config: SceneConfig = SceneConfig(),
    recompute_from: Stage | None = None,
) -> None:
    """Photos in, splat and scores out.

    Args:
        folder: of the scene's photos.
        scene: its name in tables and paths.
        run: the name its rows are kept under.
        config: everything that changes its results.
        recompute_from: a stage that is computed anew, with what follows, though it is cached.

    Raises:
        UnseenError: the photos or the machine did not allow it; the row in ``scenes`` says why.
    """
    show_life()
    log_errors_in_a_sentence()
    settings = Settings()
    site = settings.site()
    started = time.monotonic()

    def write_end(row: dict[str, Any]) -> None:
        row |= cost_of(stages.rows, time.monotonic() - started)
        write_rows(site.store, "scenes", run=run, scene=scene, rows=[row])

    def on_timeout(error: TimeLimitError) -> None:
        write_end({"state": "failed", **told(error)})
        print(f"unseen: {error}", file=sys.stderr, flush=True)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run_id, Crashed(message=str(error)), force=True)

    flow_run_id = UUID(flow_run.id)
    stages = StageRunner(
        site=site,
        run=run,
        scene=scene,
        recompute_from=recompute_from,
        limit_seconds=settings.stage_seconds,
        on_timeout=on_timeout,
    )
    row: dict[str, Any] = {}
    artefacts: dict[str, ArrayHandle] = {}
    try:
        with end_with_worker(), tags(*tag_flow_run(tag_of(run), scene_tag(scene))):
            artefacts = run_stages(stages, folder, config, settings.roots())
        for table, rows in rows_of(artefacts).items():
            write_rows(site.store, table, run=run, scene=scene, rows=rows)
        row = {"state": "completed", **summary_of(artefacts)}
    except Exception as error:
        row = {"state": "failed", **told(error)}
        raise
    finally:
        # Last, so that a completed row means that all is written; and not at all where the process
        # is being ended, because then the dataset's flow says what became of it.
        if row:
            cost = cost_of(stages.rows, time.monotonic() - started)
            show_page(lambda: scene_page(scene, run, row | cost, artefacts))
            write_end(row)
            if is_retry() and is_known(site.store, run):
                # Its dataset's flow has ended.
                show_page(lambda: run_page(site.store, load_run(site.store, run)))


def run_stages(
    stages: Callable[..., ArrayHandle], folder: str, config: SceneConfig, roots: Sequence[Path]
) -> dict[str, ArrayHandle]:
    """Run the stages that the config asks for; their artefacts by name.

    Args:
        stages: runs or recalls one; see :class:`flows.stages.runner.StageRunner`.
        folder: of the scene's photos.
        roots: folders that links may lead to beside the scene's own.

    Raises:
        UnseenError: as the stages do, or a file of the scene leads out of it.
    """
    made: dict[str, ArrayHandle] = {}
    runs = config.stages.runs
    source = digest_files(files_inside(Path(folder), roots))
    start = find_start(Path(folder), config.splat.init, roots) if runs("splat") else None
    weights = find_weights(Path(folder), config.refine, roots) if runs("refine") else None
    made["photos"] = stages(ingest_photos, source=source, config=config.ingest)
    if runs("sfm"):
        made["sparse"] = stages(reconstruct_cameras, made["photos"], config=config.sfm)
    if runs("splat"):
        made["splat"] = stages(
            fit_splat, made["sparse"], start=start, split=config.split, config=config.splat
        )
    ensemble: tuple[ArrayHandle, ...] = ()
    if runs("ensemble"):
        training = len(made["splat"].attributes["training"])
        ensemble = tuple(
            stages(fit_member, made["sparse"], start=start, split=config.split, config=member)
            for member in config.ensemble_splats(training)
        )
    if runs("views"):
        made["views"] = stages(render_views, made["sparse"], made["splat"], config=config.views)
    if runs("refine"):
        if config.refine.joint is None:
            made["refined"] = stages(
                refine_views,
                made["sparse"],
                made["views"],
                ensemble=ensemble,
                views_config=config.views,
                weights=weights,
                config=config.refine,
            )
        else:
            inputs = (made[name] for name in ("sparse", "splat", "views"))
            made["refined"] = stages(
                refine_views_jointly,
                *inputs,
                splat_config=config.splat,
                weights=weights,
                config=config.refine,
            )
    if runs("control"):
        made["control"] = stages(
            fit_control,
            made["sparse"],
            made["splat"],
            splat_config=config.splat,
            config=config.distil.control,
        )
    if runs("distil"):
        inputs = (made[name] for name in ("sparse", "splat", "views", "refined", "control"))
        made["distilled"] = stages(
            distil_views, *inputs, splat_config=config.splat, config=config.distil
        )
    if runs("evaluate"):
        inputs = (
            made[name]
            for name in ("photos", "sparse", "splat", "control", "distilled")
            if name in made
        )
        made["evaluation"] = stages(
            evaluate_scene,
            *inputs,
            ensemble=ensemble,
            views=config.views if runs("views") else None,
            refine=config.refine if runs("refine") else None,
            weights=weights,
        )
    return made


def told(error: Exception) -> dict[str, str]:
    """An error raised on purpose explains itself; another is our mistake, and says what it is."""
    kind = type(error).__name__
    message = str(error) if isinstance(error, UnseenError) else f"{kind}: {error}"
    return {"error_type": kind, "error_message": message}
