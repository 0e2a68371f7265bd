"""The scenes of a run, a flow run each: started, waited for, and those that died named."""

import asyncio
import contextlib
import functools
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pandas as pd
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
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed

from flows.config import Stage
from flows.orchestration.flow_run import liveness_lock
from flows.orchestration.locks import forget_lock, is_free
from flows.orchestration.server import is_for_this_machine
from flows.report.live import scene_runs
from flows.report.run_page import run_page
from flows.report.scene_page import Page, scene_page
from flows.runs.manifest import SceneEntry, folder_of
from flows.runs.record import RunRecord, tags_of
from flows.settings import Settings
from flows.stages.recall import recall
from storage.errors import IntegrityError, UnseenError
from storage.metrics import compact, read_scene, read_table, remove_damaged_rows, write_rows
from storage.store import Store
from tasks.errors import TimeLimitError

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_CANCEL = 30.0
SECONDS_OF_PATIENCE = 600.0
RECALLED_DELAY = timedelta(minutes=10)
"""Of a scene that is called completed at once: were we killed in between, it would run later."""
SECONDS_TO_REPORT = 30.0
"""That a worker has to say how the process of a scene ended."""

Answer = TypeVar("Answer")


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
    await asyncio.to_thread(cancel_scenes, record.run)  # what a process that was killed left behind
    run = record.run
    for entry in entries:
        if entry.error is not None:
            kind = type(entry.error).__name__
            _write_end(store, run, entry.name, "failed", kind, str(entry.error))
    before = rows_written_at(store, run)
    all_started = []
    async with get_client() as client:
        # One after the other, because the pool hands scenes out in the order in which they came.
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
        await _end_scenes(client, all_started, run, store, before)

    _compact(store, record)
    page = await asyncio.to_thread(run_page, store, record)
    await with_retries(functools.partial(acreate_markdown_artifact, **page))
    rows = read_table(store, "scenes", run=run)
    return _verdict(record, rows)


def cancel_scenes(run: str, *, seconds: float = SECONDS_TO_CANCEL) -> None:
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


def _recall(store: Store, record: RunRecord, entry: SceneEntry) -> Page | None:
    """The page of a scene of which all is done already, its rows written; None of any other."""
    found = recall(entry, Settings(), _roots(record))
    if found is None:
        return None
    try:
        found.write(store, record.run, entry.name)
    except (UnseenError, OSError):  # its own process tries again, and says it
        return None
    return scene_page(entry.name, record.run, found.row, found.artefacts)


async def _show_recalled(client: PrefectClient, waiting: FlowRun, page: Page) -> None:
    """Have Prefect show a scene as it shows one that ran, before a worker takes it up."""
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
    """What the dataset links to within itself may be read by its scenes."""
    return (*Settings().roots(), folder_of(Path(record.dataset)).absolute())


async def _start_scene(
    client: PrefectClient,
    store: Store,
    record: RunRecord,
    entry: SceneEntry,
    deployment: str,
    queue: str | None,
    recompute_from: Stage | None,
    *,
    delay: timedelta = timedelta(),
) -> FlowRun:
    environment = {
        f"UNSEEN_{name.upper()}": str(value) for name, value in Settings().model_dump().items()
    }
    environment["UNSEEN_STORE"] = store.root
    environment["UNSEEN_PHOTO_ROOTS"] = os.pathsep.join(map(str, _roots(record)))
    variables: dict[str, Any] = {"env": environment}
    if is_for_this_machine():
        # Otherwise a worker first starts a process that looks where the flow's code lies, and
        # imports Prefect for that, which takes as long as recalling a scene.
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
        # Asked twice, because the first answer was lost, it is still one flow run.
        idempotency_key=f"{flow_run.id}-{flow_run.run_count}-{entry.name}",
        timeout=0,
    )
    started: FlowRun = await with_retries(start)
    if started.parent_task_run_id is not None:  # of what stands for it in our run, named by chance
        with contextlib.suppress(HTTPError):
            await client.set_task_run_name(started.parent_task_run_id, entry.name)
    return started


async def with_retries(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask a server again that is too busy to answer, or that is just being restarted."""
    deadline = time.monotonic() + SECONDS_OF_PATIENCE
    while True:
        try:
            return await ask()
        except (HTTPError, OSError) as error:
            refused = isinstance(error, HTTPStatusError) and error.response.status_code < 500
            if refused or time.monotonic() > deadline:
                raise
        await asyncio.sleep(5 * SECONDS_BETWEEN_LOOKS)


async def _end_scenes(
    client: PrefectClient,
    started: Iterable[FlowRun],
    run: str,
    store: Store,
    before: Mapping[str, datetime],
) -> None:
    """Wait for the scenes, and see to their rows; see :func:`write_missing_row`."""
    waiting = {one.id for one in started}
    dead_since: dict[UUID, float] = {}
    log, count = get_run_logger(), len(waiting)
    while waiting:
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
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
    """Say the end of a scene whose process is no more; one that waits may have another soon."""
    found = await client.read_flow_run(flow_run_id)
    if found.state is not None and found.state.is_running():
        untold: State[None] = Crashed(message="it is gone, and nobody told how it ended")
        await client.set_flow_run_state(flow_run_id, untold, force=True)


def write_missing_row(
    store: Store, run: str, ended: FlowRun, before: Mapping[str, datetime]
) -> None:
    """Say what became of a scene whose process could not.

    Args:
        before: when the rows of scenes were written before they started, by the clocks of their
            writers, which may go behind ours; see :func:`rows_written_at`.
    """
    try:
        rows = read_scene(store, "scenes", run=run, scene=ended.name)
    except IntegrityError:  # of one scene: the others are waited for all the same
        _write_end(store, run, ended.name, *_rows_lost(["scenes"]))
        return
    if rows.empty or rows["written_at"].max() == before.get(ended.name):
        _write_end(store, run, ended.name, *_end_of(ended))


def _compact(store: Store, record: RunRecord) -> None:
    """Join the rows of a run's scenes; one whose rows are damaged is called failed."""
    try:
        compact(store, record.run)
    except IntegrityError:
        lost = remove_damaged_rows(store, record.run, record.scenes)
        for scene, tables in lost.items():
            _write_end(store, record.run, scene, *_rows_lost(tables))
        compact(store, record.run)


def _rows_lost(tables: Sequence[str]) -> tuple[str, str, str]:
    """State, error type and message of a scene of which it cannot be told how it ended."""
    message = (
        f"some of its rows were damaged ({', '.join(tables)}) and are removed, so that it cannot "
        "be told how it ended; run 'unseen resume' to have them written again"
    )
    return "failed", IntegrityError.__name__, message


async def ended_among(client: PrefectClient, waiting: Collection[UUID]) -> Sequence[FlowRun]:
    """Those that have ended, as many as the API gives at a time.

    All are asked after at once, and those that go on are not sent: hundreds, asked one by one each
    second, would keep a server busy.

    Raises:
        ObjectNotFound: somebody deleted one, so it would never end.
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


def _end_of(ended: FlowRun) -> tuple[str, str, str]:
    """State, error type and message of a scene whose process left no row."""
    state = ended.state
    kind = state.type.value.lower() if state else "unknown"
    said = (state.message or "no reason given").strip() if state else "no state"
    names = {"crashed": "ProcessDied", "cancelled": "Cancelled"}
    if re.search(rf"status code:? {-signal.SIGALRM}\b", said):
        names["crashed"] = TimeLimitError.__name__
    message = (
        f"the scene's process ended without a result ({said}); nothing else was touched, "
        "run 'unseen resume' to try it again from its last finished stage"
    )
    return kind, names.get(kind, "NoResult"), message


def rows_written_at(store: Store, run: str) -> Mapping[str, datetime]:
    """When the row of each scene was written."""
    rows = read_table(store, "scenes", run=run)
    return dict(zip(rows["scene"], rows["written_at"], strict=True))


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
