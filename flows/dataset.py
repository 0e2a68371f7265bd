"""Many scenes: a deployment run each, all waited for, and the list of those that failed."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import arun_deployment
from prefect.states import Completed, Failed

from flows.config import SceneConfig
from flows.manifest import SceneEntry, find_scenes, folder_of
from flows.report.table import markdown_report
from flows.runs import RunRecord, load_run, new_run_name, save_run, tag_of, unfinished_scenes
from flows.settings import Settings
from storage.arrays import Store, remove_abandoned_staging
from storage.metrics import compact, read_table, write_rows

SECONDS_BETWEEN_LOOKS = 1.0


@flow(name="dataset", flow_run_name="{run}", persist_result=False)
async def reconstruct_dataset(
    dataset: str,
    run: str | None = None,
    only: tuple[str, ...] = (),
    config: SceneConfig = SceneConfig(),
    deployment: str = "scene/cpu",
    queue: str | None = None,
    resume: bool = False,
) -> State[Any]:
    """Run the scenes of a dataset, each in its own process on the deployment's work pool.

    Args:
        dataset: a folder of scene folders or a manifest.
        run: the name its rows are kept under; made from the dataset and the time where absent.
        only: names of the scenes to take; all where empty.
        config: everything that changes results.
        deployment: of the scene flow; its pool decides where scenes run.
        queue: of the pool, where a worker of its own serves this run.
        resume: leave out the scenes that this run has completed already.
    """
    settings = Settings()
    store = settings.open_store()
    store.check_writable()
    remove_abandoned_staging(store)
    run = run or new_run_name(Path(dataset))
    entries = find_scenes(Path(dataset), config, only, roots=settings.roots())
    save_run(store, _record(store, run, dataset, only, entries, config, resume))
    if resume:
        unfinished = unfinished_scenes(store, load_run(store, run))
        entries = tuple(entry for entry in entries if entry.name in unfinished)

    for entry in entries:
        if entry.error is not None:
            kind = type(entry.error).__name__
            _write_end(store, run, entry.name, "failed", kind, str(entry.error))
    roots = (*settings.roots(), folder_of(Path(dataset)).absolute())
    began = datetime.now(UTC)
    # One after the other, because the pool hands scenes out in the order in which they came.
    flow_runs = [
        await _start_scene(entry, run, settings, store, deployment, queue, roots)
        for entry in entries
        if entry.error is None
    ]
    async with get_client() as client:
        await asyncio.gather(
            *(_end_scene(client, flow_run, run, store, began) for flow_run in flow_runs)
        )

    compact(store, run)
    await acreate_markdown_artifact(markdown_report(store, run), key="run", description=run)
    rows = read_table(store, "scenes", run=run)
    return _verdict(rows[rows["scene"].isin(load_run(store, run).scenes)])


async def _start_scene(
    entry: SceneEntry,
    run: str,
    settings: Settings,
    store: Store,
    deployment: str,
    queue: str | None,
    roots: Sequence[Path],
) -> FlowRun:
    environment = {
        "UNSEEN_STORE": store.root,
        "UNSEEN_DEVICE": settings.device,
        "UNSEEN_THREADS": str(settings.threads),
        "UNSEEN_CHECKPOINT_SECONDS": str(settings.checkpoint_seconds),
        "UNSEEN_PHOTO_ROOTS": os.pathsep.join(map(str, roots)),
    }
    return await arun_deployment(
        deployment,
        parameters={
            "folder": entry.folder,
            "scene": entry.name,
            "run": run,
            "config": entry.config.model_dump(mode="json"),
        },
        flow_run_name=entry.name,
        tags=[tag_of(run)],
        work_queue_name=queue,
        job_variables={"env": environment},
        timeout=0,
    )


async def _end_scene(
    client: PrefectClient, flow_run: FlowRun, run: str, store: Store, began: datetime
) -> None:
    """Wait for one scene; where its process could not write its row, write it."""
    while flow_run.state is None or not flow_run.state.is_final():
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        flow_run = await client.read_flow_run(flow_run.id)
    rows = read_table(store, "scenes", run=run)
    if rows[(rows["scene"] == flow_run.name) & (rows["written_at"] >= began)].empty:
        _write_end(store, run, flow_run.name, *_end_of(flow_run))


def _end_of(flow_run: FlowRun) -> tuple[str, str, str]:
    """State, error type and message of a scene whose process left no row."""
    state = flow_run.state
    kind = state.type.value.lower() if state else "unknown"
    said = (state.message or "no reason given").strip() if state else "no state"
    names = {"crashed": "ProcessDied", "cancelled": "Cancelled"}
    message = (
        f"the scene's process ended without a result ({said}); nothing else was touched, "
        "run 'unseen resume' to try it again from its last finished stage"
    )
    return kind, names.get(kind, "NoResult"), message


def _write_end(
    store: Store, run: str, scene: str, state: str, error_type: str, message: str
) -> None:
    row = {"state": state, "error_type": error_type, "error_message": message}
    write_rows(store, "scenes", run=run, scene=scene, rows=[row])


def _record(
    store: Store,
    run: str,
    dataset: str,
    only: tuple[str, ...],
    entries: Sequence[SceneEntry],
    config: SceneConfig,
    resume: bool,
) -> RunRecord:
    created = load_run(store, run).created_at if resume else datetime.now(UTC).isoformat()
    return RunRecord(
        run=run,
        dataset=str(Path(dataset).absolute()),
        only=only,
        scenes=tuple(entry.name for entry in entries),
        config=config.model_dump(mode="json"),
        created_at=created,
    )


def _verdict(scenes: pd.DataFrame) -> State[Any]:
    bad = scenes[scenes["state"] != "completed"]
    if bad.empty:
        return Completed(message=f"{len(scenes)} of {len(scenes)} scenes completed")
    listed = ", ".join(f"{row.scene} ({row.state})" for row in bad.itertuples())
    return Failed(message=f"{len(bad)} of {len(scenes)} scenes did not complete: {listed}")
