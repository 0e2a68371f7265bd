"""Dispatch of a run's scenes: one flow run each, started, awaited and cancelled."""

import asyncio
import contextlib
import functools
import os
import shlex
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from httpx import HTTPError, HTTPStatusError
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, State
from prefect.deployments import arun_deployment
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Cancelled, Cancelling, Completed, Crashed

from flows.config import StageName
from flows.orchestration.api import is_for_this_machine
from flows.orchestration.flow_run import liveness_lock
from flows.orchestration.locks import forget_lock, is_free
from flows.report.run_page import run_page
from flows.report.scene_page import Page, scene_page
from flows.runs.manifest import SceneEntry, folder_of
from flows.runs.outcomes import (
    Outcome,
    fail_damaged_scenes,
    rows_written_at,
    verdict,
    write_missing_row,
)
from flows.runs.progress import scene_runs
from flows.runs.record import RunRecord, tags_of
from flows.settings import Settings
from flows.stages.recall import recall
from storage.errors import UnseenError
from storage.store import Store

SECONDS_BETWEEN_READS = 1.0
SECONDS_TO_CANCEL = 30.0
SECONDS_OF_RETRIES = 600.0
RECALLED_DELAY = timedelta(minutes=10)
"""Scheduled start of a scene that is marked completed at once. If this process is killed in
between, a worker runs the scene then."""
SECONDS_TO_REPORT = 30.0
"""Grace period for a worker to report how the process of a scene ended."""

Answer = TypeVar("Answer")


async def run_scenes(
    store: Store,
    record: RunRecord,
    entries: Sequence[SceneEntry],
    *,
    deployment: str,
    queue: str | None,
    recompute_from: StageName | None = None,
) -> State[Any]:
    """Run some scenes of a run, each in its own process on the deployment's work pool.

    Fully cached scenes are completed here, without starting a process.

    Args:
        deployment: of the scene flow; its work pool determines where scenes run.
        queue: of the work pool; None for the deployment's.
        recompute_from: first stage whose cached result is ignored, with all later ones.

    Returns:
        Completed, or Failed with the list, over all scenes of the run.
    """
    await asyncio.to_thread(cancel_scenes, record.run)  # left behind by a killed process
    run = record.run
    for entry in entries:
        if entry.error is not None:
            kind = type(entry.error).__name__
            failed = Outcome(state="failed", error_type=kind, message=str(entry.error))
            failed.write(store, run, entry.name)
    before = rows_written_at(store, run)
    all_started = []
    async with get_client() as client:
        # In sequence, because the pool hands scenes out in the order in which they were created.
        for entry in entries:
            if entry.error is not None:
                continue
            start = functools.partial(_start_scene, client, store, record, entry, deployment, queue)
            done = (
                None if recompute_from else await asyncio.to_thread(_recall, store, record, entry)
            )
            if done is None:
                all_started.append(await start(recompute_from))
            else:
                await _show_recalled(client, await start(None, delay=RECALLED_DELAY), done)
        await _await_scenes(client, all_started, run, store, before)

    fail_damaged_scenes(store, record)
    page = await asyncio.to_thread(run_page, store, record)
    await with_retries(functools.partial(acreate_markdown_artifact, **page))
    return verdict(store, record)


def cancel_scenes(run: str, *, seconds: float = SECONDS_TO_CANCEL) -> None:
    """Cancel the scenes of a run that have not ended.

    Args:
        seconds: grace period for workers to end them; scenes still open then are marked cancelled.
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


def _recall(store: Store, record: RunRecord, entry: SceneEntry) -> Page | None:
    """The page of a fully cached scene, whose rows are written here; None for any other scene."""
    settings = Settings()
    device = settings.device
    if device == "auto":
        if not is_for_this_machine():
            return None  # the machines that run scenes choose
        device = settings.machine().device
    found = recall(
        Path(entry.folder),
        entry.name,
        entry.config,
        store=store,
        device=device,
        roots=_roots(record),
        trust=settings.trust(),
        lpips_backbone=settings.lpips_file(),
    )
    if found is None:
        return None
    try:
        found.write(store, record.run, entry.name)
    except (UnseenError, OSError):  # its own process will try again and report it
        return None
    return scene_page(entry.name, record.run, found.row, found.artefacts)


async def _show_recalled(client: PrefectClient, waiting: FlowRun, page: Page) -> None:
    """Mark a scene completed in Prefect, with its page, before a worker picks it up."""
    done: State[None] = Completed(message="all its stages were recalled")
    await with_retries(functools.partial(client.set_flow_run_state, waiting.id, done, force=True))
    artifact = ArtifactCreate(
        key=page["key"],
        type="markdown",
        description=page["description"],
        data=page["markdown"],
        flow_run_id=waiting.id,
    )
    with contextlib.suppress(HTTPError):
        await client.create_artifact(artifact)


def _roots(record: RunRecord) -> tuple[Path, ...]:
    """Folders that the scenes may read: the dataset's own, and those of the settings."""
    return (*Settings().roots(), folder_of(Path(record.dataset)).absolute())


async def _start_scene(
    client: PrefectClient,
    store: Store,
    record: RunRecord,
    entry: SceneEntry,
    deployment: str,
    queue: str | None,
    recompute_from: StageName | None,
    *,
    delay: timedelta = timedelta(),
) -> FlowRun:
    environment = Settings().passed_on()
    environment["UNSEEN_STORE"] = store.root
    environment["UNSEEN_PHOTO_ROOTS"] = os.pathsep.join(map(str, _roots(record)))
    variables: dict[str, Any] = {"env": environment}
    if is_for_this_machine():
        # Otherwise a worker first starts a process that locates the flow's code, which imports
        # Prefect and takes as long as recalling a scene.
        variables["command"] = shlex.join([sys.executable, "-m", "prefect.engine"])
    start = functools.partial(
        arun_deployment,
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
        job_variables=variables,
        scheduled_time=datetime.now(UTC) + delay,
        # A request repeated after a lost answer still makes one flow run.
        idempotency_key=f"{flow_run.id}-{flow_run.run_count}-{entry.name}",
        timeout=0,
    )
    started: FlowRun = await with_retries(start)
    if started.parent_task_run_id is not None:  # its task run in our run has a random name
        with contextlib.suppress(HTTPError):
            await client.set_task_run_name(started.parent_task_run_id, entry.name)
    return started


async def with_retries(request: Callable[[], Awaitable[Answer]]) -> Answer:
    """Repeat a request while the server is too busy to answer or is being restarted."""
    deadline = time.monotonic() + SECONDS_OF_RETRIES
    while True:
        try:
            return await request()
        except (HTTPError, OSError) as error:
            refused = isinstance(error, HTTPStatusError) and error.response.status_code < 500
            if refused or time.monotonic() > deadline:
                raise
        await asyncio.sleep(5 * SECONDS_BETWEEN_READS)


async def _await_scenes(
    client: PrefectClient,
    started: Iterable[FlowRun],
    run: str,
    store: Store,
    before: Mapping[str, datetime],
) -> None:
    """Wait until all scenes have ended; write the rows of those whose process died."""
    waiting = {one.id for one in started}
    dead_since: dict[UUID, float] = {}
    log, count = get_run_logger(), len(waiting)
    while waiting:
        await asyncio.sleep(SECONDS_BETWEEN_READS)
        for ended in await with_retries(functools.partial(ended_among, client, waiting)):
            waiting.remove(ended.id)
            write_missing_row(store, run, ended, before)
            forget_lock(liveness_lock(ended.id))
            how = (ended.state_name or "ended").lower()
            log.info("%s %s; %d of %d have ended", ended.name, how, count - len(waiting), count)
        now = time.monotonic()
        for dead in [one for one in waiting if is_free(liveness_lock(one))]:
            if now - dead_since.setdefault(dead, now) > SECONDS_TO_REPORT:
                await with_retries(functools.partial(_crash_if_running, client, dead))


async def _crash_if_running(client: PrefectClient, flow_run_id: UUID) -> None:
    """Mark a running scene crashed whose process is dead; a waiting one may get another process."""
    found = await client.read_flow_run(flow_run_id)
    if found.state is not None and found.state.is_running():
        unreported: State[None] = Crashed(message="its process died without a report")
        await client.set_flow_run_state(flow_run_id, unreported, force=True)


async def ended_among(client: PrefectClient, waiting: Collection[UUID]) -> Sequence[FlowRun]:
    """The flow runs that have ended, as many as the API returns at a time.

    One request for all, answered with the ended ones only: hundreds of requests each second would
    keep a server busy.

    Raises:
        ObjectNotFound: a flow run was deleted, so it would never end.
    """
    ids = FlowRunFilterId(any_=list(waiting))
    final = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(TERMINAL_STATES)))
    found = await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ids, state=final))
    if not found and await client.count_flow_runs(flow_run_filter=FlowRunFilter(id=ids)) < len(
        waiting
    ):
        for one in waiting:
            await client.read_flow_run(one)
    return found
