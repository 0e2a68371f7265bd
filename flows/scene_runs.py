"""The scenes of a run, a flow run each: started, waited for, and those that died named."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import arun_deployment
from prefect.states import Cancelled, Cancelling, Completed, Failed

from flows.config import Stage
from flows.manifest import SceneEntry
from flows.report.table import markdown_report
from flows.runs import RunRecord, tags_of
from flows.settings import Settings
from flows.watch import scene_runs
from storage.arrays import Store
from storage.metrics import compact, read_table, write_rows

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_CANCEL = 30.0


async def run_scenes(
    store: Store,
    record: RunRecord,
    entries: Sequence[SceneEntry],
    *,
    deployment: str,
    queue: str | None,
    recompute_from: Stage | None = None,
) -> State[Any]:
    """Run some scenes of a run, each in its own process on the deployment's work pool.

    Args:
        deployment: of the scene flow; its pool decides where scenes run.
        queue: of the pool; the deployment's where absent.
        recompute_from: a stage that is computed anew, with what follows, though it is cached.

    Returns:
        Completed, or Failed with the list, over all scenes of the run.
    """
    await asyncio.to_thread(call_off, record.run)  # what a process that was killed left behind
    run = record.run
    for entry in entries:
        if entry.error is not None:
            kind = type(entry.error).__name__
            _write_end(store, run, entry.name, "failed", kind, str(entry.error))
    began = datetime.now(UTC)
    # One after the other, because the pool hands scenes out in the order in which they came.
    flow_runs = [
        await _start_scene(store, record, entry, deployment, queue, recompute_from)
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
    return _verdict(record, rows)


def call_off(run: str, *, seconds: float = SECONDS_TO_CANCEL) -> None:
    """Cancel the scenes of a run that have not ended.

    Args:
        seconds: that workers have to end them; what goes on then is called cancelled all the same.
    """
    with get_client(sync_client=True) as client:
        for scene in _open(client, run):
            client.set_flow_run_state(scene.id, Cancelling(), force=True)
        deadline = time.monotonic() + seconds
        while (left := _open(client, run)) and time.monotonic() < deadline:
            time.sleep(0.5)
        for scene in left:
            client.set_flow_run_state(scene.id, Cancelled(), force=True)


def _open(client: Any, run: str) -> list[FlowRun]:
    return [one for one in scene_runs(client, run) if not (one.state and one.state.is_final())]


async def _start_scene(
    store: Store,
    record: RunRecord,
    entry: SceneEntry,
    deployment: str,
    queue: str | None,
    recompute_from: Stage | None,
) -> FlowRun:
    settings = Settings()
    environment = {
        "UNSEEN_STORE": store.root,
        "UNSEEN_DEVICE": settings.device,
        "UNSEEN_THREADS": str(settings.threads),
        "UNSEEN_CHECKPOINT_SECONDS": str(settings.checkpoint_seconds),
    }
    return await arun_deployment(
        deployment,
        parameters={
            "folder": entry.folder,
            "scene": entry.name,
            "run": record.run,
            "config": entry.config.model_dump(mode="json"),
            "recompute_from": recompute_from,
        },
        flow_run_name=entry.name,
        tags=tags_of(record, entry.name),
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


def _verdict(record: RunRecord, rows: pd.DataFrame) -> State[Any]:
    states = dict(zip(rows["scene"], rows["state"], strict=True))
    bad = {scene: states.get(scene, "no result") for scene in record.scenes}
    bad = {scene: state for scene, state in bad.items() if state != "completed"}
    count = len(record.scenes)
    if not bad:
        return Completed(message=f"{count} of {count} scenes completed")
    listed = ", ".join(f"{scene} ({state})" for scene, state in bad.items())
    return Failed(message=f"{len(bad)} of {count} scenes did not complete: {listed}")
