"""A dataset on this machine: pools, deployments and workers for one run, with live progress."""

import asyncio
import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from httpx import HTTPError
from prefect import tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, WorkerStatus
from prefect.exceptions import ObjectAlreadyExists

from flows.config import SceneConfig, StageName
from flows.dataset import reconstruct_dataset, resume_dataset
from flows.dispatch import SECONDS_TO_CANCEL, cancel_scenes
from flows.launch.deployments import deploy
from flows.orchestration.locks import lock
from flows.orchestration.log_filters import hide_described_errors
from flows.orchestration.workers import worker
from flows.report.live import live_progress
from flows.runs.record import dataset_tag, lock_of, refusal_of
from flows.settings import Settings
from tasks.runtime.context import Device

OUR_WORKERS = "unseen-"
SECONDS_BETWEEN_CHECKS = 5.0
SECONDS_TO_END = 3.0
"""Grace period of our workers: their scenes have ended by then, and Prefect often hangs."""
SECONDS_OF_SILENCE = 45.0
"""After which a worker counts as dead; Prefect's send a heartbeat every 30 s."""


def run_dataset(
    dataset: Path,
    run: str,
    only: tuple[str, ...],
    config: SceneConfig,
    *,
    max_concurrent: int,
    priority: int | None = None,
) -> bool:
    """Run a dataset; whether all its scenes completed.

    Args:
        max_concurrent: number of scenes on this machine's CPUs at a time.
        priority: of the run's queue; 1 is highest. None: after all others.

    Raises:
        UnseenError: the run is active in another process, or cannot be run at all.
    """
    flow = functools.partial(
        reconstruct_dataset, dataset=str(dataset), run=run, only=only, config=config
    )
    with tags(dataset_tag(dataset)):
        return _completed(flow, run, max_concurrent, priority)


def resume_run(
    run: str,
    scenes: tuple[str, ...],
    stage: StageName | None,
    *,
    max_concurrent: int,
    priority: int | None = None,
) -> bool:
    """Rerun scenes of a run, see :func:`flows.dataset.resume_dataset`; whether all completed."""
    flow = functools.partial(resume_dataset, run=run, scenes=scenes, stage=stage)
    return _completed(flow, run, max_concurrent, priority)


def _completed(
    flow: Callable[..., Any], run: str, max_concurrent: int, priority: int | None
) -> bool:
    """Run a flow over scenes in this process, with workers for them.

    One process of this machine works on a run; scenes left waiting by a killed one are cancelled,
    so that none runs twice. The run has a queue of its own, which keeps two runs on one machine
    apart. Existing workers of the pool serve it; without any, this process starts its own.
    """
    device = Settings().machine().device
    pool = "gpu" if device == "cuda" else "cpu"
    hide_described_errors()
    with lock(lock_of(run), refused=refusal_of(run)):
        deploy(pool)
        cancel_scenes(run, seconds=SECONDS_TO_CANCEL if _is_served(pool) else 0.0)
        with _workers(pool, device, run, max_concurrent, priority) as queue, live_progress(run):
            try:
                state = asyncio.run(_final_state(flow, deployment=f"scene/{pool}", queue=queue))
            except KeyboardInterrupt:
                cancel_scenes(run)
                raise
    if isinstance(state.data, BaseException):  # of the flow itself, not of its scenes
        raise state.data
    return state.is_completed()


async def _final_state(flow: Callable[..., Any], **parameters: Any) -> State[Any]:
    state: State[Any] = await flow(**parameters, return_state=True)
    return state


@contextlib.contextmanager
def _workers(
    pool: str, device: Device, run: str, max_concurrent: int, priority: int | None
) -> Iterator[str]:
    """A queue of the run's own, by name, with workers that pull from it while the block runs.

    Existing workers of the pool pull from all its queues. Where there are none, or once they have
    all ended, workers of our own start.
    """
    ended = threading.Event()
    stand_in = threading.Thread(
        target=_work_if_unserved, args=(pool, device, run, max_concurrent, ended), daemon=True
    )
    with queue_of_run(pool, run, priority):
        stand_in.start()
        try:
            yield run
        finally:
            ended.set()
            stand_in.join()


@contextlib.contextmanager
def queue_of_run(pool: str, run: str, priority: int | None = None) -> Iterator[None]:
    """A queue of a pool, named after a run, while the block runs.

    Args:
        priority: among the pool's queues; 1 is highest. None: the lowest.
    """
    with get_client(sync_client=True) as client:
        try:
            queue = client.create_work_queue(name=run, work_pool_name=pool, priority=priority)
        except ObjectAlreadyExists:  # left behind when the run was killed
            queue = client.read_work_queue_by_name(name=run, work_pool_name=pool)
            if priority is not None:
                client.update_work_queue(queue.id, priority=priority)
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # an unused queue does no harm
                client.delete_work_queue_by_id(queue.id)


def _work_if_unserved(
    pool: str, device: Device, run: str, max_concurrent: int, ended: threading.Event
) -> None:
    while _is_served(pool):
        if ended.wait(SECONDS_BETWEEN_CHECKS):
            return
    name = f"{OUR_WORKERS}{os.getpid()}-{run}"
    start = functools.partial(worker, pool, run, seconds_to_end=SECONDS_TO_END)
    with contextlib.ExitStack() as started:
        if device == "cuda":
            import torch

            for index in range(torch.cuda.device_count()):
                gpu = {"CUDA_VISIBLE_DEVICES": str(index)}
                one = start(name=f"{name}-{index}", limit=1, environment=gpu)
                started.enter_context(one)
        else:
            one = start(name=name, limit=max_concurrent, environment={})
            started.enter_context(one)
        ended.wait()


def _is_served(pool: str) -> bool:
    """Whether workers of others serve the pool; True where the server is too busy to answer."""
    try:
        return asyncio.run(_has_others(pool))
    except (OSError, HTTPError):
        return True


async def _has_others(pool: str) -> bool:
    """Whether workers that no 'unseen run' started are alive and pull from the pool."""
    async with get_client() as client:
        workers = await client.read_workers_for_work_pool(pool)
    return any(
        one.status == WorkerStatus.ONLINE
        and not one.name.startswith(OUR_WORKERS)
        # A dead worker stays online in Prefect for a while.
        and one.last_heartbeat_time is not None
        and (datetime.now(UTC) - one.last_heartbeat_time).total_seconds() < SECONDS_OF_SILENCE
        for one in workers
    )
