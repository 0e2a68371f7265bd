"""A dataset on this machine: pools and deployments, workers for the run, and its progress shown."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, WorkerStatus
from prefect.states import Cancelling

from flows.config import SceneConfig
from flows.dataset import reconstruct_dataset
from flows.deploy import deploy
from flows.server import worker
from flows.settings import Settings
from flows.watch import scene_runs, watching
from tasks.site import Device

OUR_WORKERS = "unseen-"
SECONDS_TO_CANCEL = 30.0


def run_dataset(
    dataset: Path,
    run: str,
    only: tuple[str, ...],
    config: SceneConfig,
    *,
    at_once: int,
    resume: bool = False,
) -> bool:
    """Run or resume a dataset; whether all its scenes completed.

    Workers of somebody else's that serve the pool are left to do the work; without any, workers of
    this run pull from a queue of its own, so that two runs on one machine keep apart.

    Args:
        at_once: scenes that run at a time on this machine's CPUs.
    """
    device = Settings().site().device
    pool = "gpu" if device == "cuda" else "cpu"
    deploy()
    with _workers(pool, device, run, at_once) as queue, watching(run):
        try:
            state = asyncio.run(
                _final_state(
                    dataset=str(dataset),
                    run=run,
                    only=only,
                    config=config,
                    deployment=f"scene/{pool}",
                    queue=queue,
                    resume=resume,
                )
            )
        except KeyboardInterrupt:
            _cancel_scenes(run)
            raise
    if isinstance(state.data, BaseException):  # of the flow itself, not of its scenes
        raise state.data
    return state.is_completed()


async def _final_state(**parameters: Any) -> State[Any]:
    """How the dataset's flow ended."""
    state: State[Any] = await reconstruct_dataset(**parameters, return_state=True)
    return state


@contextlib.contextmanager
def _workers(pool: str, device: Device, run: str, at_once: int) -> Iterator[str | None]:
    """Workers for the run where nobody else serves the pool; the queue they pull from, or None."""
    if asyncio.run(_is_served(pool)):
        yield None
        return
    with get_client(sync_client=True) as client, contextlib.ExitStack() as started:
        queue = client.create_work_queue(name=run, work_pool_name=pool)
        if device == "cuda":
            import torch

            for index in range(torch.cuda.device_count()):
                gpu = {"CUDA_VISIBLE_DEVICES": str(index)}
                started.enter_context(worker(pool, run, limit=1, environment=gpu))
        else:
            started.enter_context(worker(pool, run, limit=at_once, environment={}))
        try:
            yield run
        finally:
            with contextlib.suppress(Exception):  # only tidiness is lost
                client.delete_work_queue_by_id(queue.id)


async def _is_served(pool: str) -> bool:
    """Whether workers that no run of ours started pull from the pool."""
    async with get_client() as client:
        workers = await client.read_workers_for_work_pool(pool)
    return any(
        one.status == WorkerStatus.ONLINE and not one.name.startswith(OUR_WORKERS)
        for one in workers
    )


def _cancel_scenes(run: str) -> None:
    """Ask the workers to end the run's scenes, and wait until they have."""
    with get_client(sync_client=True) as client:
        for scene in scene_runs(client, run):
            if not (scene.state and scene.state.is_final()):
                client.set_flow_run_state(scene.id, Cancelling(), force=True)
        deadline = time.monotonic() + SECONDS_TO_CANCEL
        while time.monotonic() < deadline and any(
            not (scene.state and scene.state.is_final()) for scene in scene_runs(client, run)
        ):
            time.sleep(0.5)
