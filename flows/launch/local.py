"""A dataset on this machine: pools and deployments, workers for the run, and its progress shown."""

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

from flows.config import SceneConfig, Stage
from flows.dataset import reconstruct_dataset
from flows.dispatch import SECONDS_TO_CANCEL, cancel_scenes
from flows.launch.deployments import deploy
from flows.orchestration.locks import lock
from flows.orchestration.log_filters import hide_described_errors
from flows.orchestration.server import worker
from flows.report.live import watching
from flows.resume import resume_dataset
from flows.runs.record import dataset_tag, lock_of, refusal_of
from flows.settings import Settings
from tasks.runtime.context import Device

OUR_WORKERS = "unseen-"
SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_TO_END = 3.0
"""That our workers have: when they end, all of their scenes have, and Prefect's often hang then."""
SECONDS_OF_SILENCE = 45.0
"""A worker that lives is heard of every 30 s."""


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
        at_once: scenes that run at a time on this machine's CPUs.
        priority: of its queue, where workers of somebody else's serve several; 1 goes first, and
            without one it comes last.

    Raises:
        UnseenError: the run goes on elsewhere, or the whole of it cannot be run.
    """
    flow = functools.partial(
        reconstruct_dataset, dataset=str(dataset), run=run, only=only, config=config
    )
    with tags(dataset_tag(dataset)):
        return _completed(flow, run, max_concurrent, priority)


def resume_run(
    run: str,
    scenes: tuple[str, ...],
    stage: Stage | None,
    *,
    max_concurrent: int,
    priority: int | None = None,
) -> bool:
    """Run scenes of a run again, see :func:`flows.resume.resume_dataset`; whether all completed."""
    flow = functools.partial(resume_dataset, run=run, scenes=scenes, stage=stage)
    return _completed(flow, run, max_concurrent, priority)


def _completed(
    flow: Callable[..., Any], run: str, max_concurrent: int, priority: int | None
) -> bool:
    """Run a flow over scenes in this process, with workers for them.

    A run goes on in one process of this machine; what a killed one left to wait is called off, so
    that no scene is run twice.

    The run has a queue of its own, so that two runs on one machine keep apart. Workers of somebody
    else's that serve the pool are left to do the work; without any, workers of this run do it.
    """
    device = Settings().machine().device
    pool = "gpu" if device == "cuda" else "cpu"
    hide_described_errors()
    with lock(lock_of(run), refused=refusal_of(run)):
        deploy(pool)
        cancel_scenes(run, seconds=SECONDS_TO_CANCEL if _is_served(pool) else 0.0)
        with _workers(pool, device, run, max_concurrent, priority) as queue, watching(run):
            try:
                state = asyncio.run(_final_state(flow, deployment=f"scene/{pool}", queue=queue))
            except KeyboardInterrupt:
                cancel_scenes(run)
                raise
    if isinstance(state.data, BaseException):  # of the flow itself, not of its scenes
        raise state.data
    return state.is_completed()


async def _final_state(flow: Callable[..., Any], **parameters: Any) -> State[Any]:
    """How the flow ended."""
    state: State[Any] = await flow(**parameters, return_state=True)
    return state


@contextlib.contextmanager
def _workers(
    pool: str, device: Device, run: str, max_concurrent: int, priority: int | None
) -> Iterator[str]:
    """Have somebody pull from a queue of the run's own, whose name this gives.

    Other people's workers pull from all queues of the pool. While there are none, or once they have
    all gone, workers of our own do.
    """
    ended = threading.Event()
    stand_in = threading.Thread(
        target=_work_if_nobody_does, args=(pool, device, run, max_concurrent, ended), daemon=True
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
        priority: among the pool's queues, 1 first; the last where absent.
    """
    with get_client(sync_client=True) as client:
        try:
            queue = client.create_work_queue(name=run, work_pool_name=pool, priority=priority)
        except ObjectAlreadyExists:  # of this run, when it was killed
            queue = client.read_work_queue_by_name(name=run, work_pool_name=pool)
            if priority is not None:
                client.update_work_queue(queue.id, priority=priority)
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # only tidiness is lost
                client.delete_work_queue_by_id(queue.id)


def _work_if_nobody_does(
    pool: str, device: Device, run: str, max_concurrent: int, ended: threading.Event
) -> None:
    while _is_served(pool):
        if ended.wait(SECONDS_BETWEEN_LOOKS):
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
    """Whether others work for the pool; a server too busy to say is asked again."""
    try:
        return asyncio.run(_has_others(pool))
    except (OSError, HTTPError):
        return True


async def _has_others(pool: str) -> bool:
    """Whether workers that no run of ours started are alive and pull from the pool."""
    async with get_client() as client:
        workers = await client.read_workers_for_work_pool(pool)
    return any(
        one.status == WorkerStatus.ONLINE
        and not one.name.startswith(OUR_WORKERS)
        # A worker that has gone is called online for a while.
        and one.last_heartbeat_time is not None
        and (datetime.now(UTC) - one.last_heartbeat_time).total_seconds() < SECONDS_OF_SILENCE
        for one in workers
    )
