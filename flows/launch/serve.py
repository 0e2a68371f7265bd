"""A machine as a service: Prefect server, workers and schedules until a signal ends it."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flows.launch.deployments import Scheduled, deploy, deploy_schedules
from flows.launch.heartbeats import HEARTBEAT_ENVIRONMENT, crash_orphans, watch_heartbeats
from flows.orchestration.api import Api, use_api
from flows.orchestration.locks import lock
from flows.orchestration.server import supervised_api
from flows.orchestration.workers import worker
from flows.runs.manifest import find_scenes
from flows.runs.record import name_of
from flows.settings import CORES_A_SCENE, Settings, check_max_concurrent, usable_cores
from tasks.errors import InputError

MAX_CONCURRENT_DATASETS = 8
"""Each only waits for its scenes, and takes about 250 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """One worker: its pool and its limit of concurrent flow runs."""

    pool: str
    limit: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        gpu = self.environment.get("CUDA_VISIBLE_DEVICES", "")
        return f"serve-{socket.gethostname()}-{self.pool}{gpu}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The workers for scenes, and the number of CPU threads of each scene."""

    threads: int
    workers: tuple[WorkerPlan, ...]


def plan_workers(*, cores: int, gpus: int, threads: int, max_concurrent: int) -> Plan:
    """Workers that together use no more threads than there are cores.

    Each GPU gets a worker with one scene at a time, the CPU gets one worker for all its scenes.
    More scenes than cores, of one thread each, run only if ``max_concurrent`` demands it.

    Args:
        threads: CPU threads of a scene; 0 divides the cores among the scenes.
        max_concurrent: number of scenes on CPUs at a time; 0 for as many as fit, and for none
            beside GPUs.

    Raises:
        InputError: a negative number of scenes, or more threads than cores.
    """
    check_max_concurrent(max_concurrent)
    if not max_concurrent and not gpus:
        max_concurrent = max(1, cores // (threads or CORES_A_SCENE))
    scenes = gpus + max_concurrent
    if threads and threads * scenes > max(cores, scenes):
        raise InputError(
            f"{scenes} scenes at a time with {threads} threads each (UNSEEN_THREADS) exceed the "
            f"{cores} cores of this machine; lower either, or unset UNSEEN_THREADS"
        )
    workers = [
        WorkerPlan(pool="gpu", limit=1, environment={"CUDA_VISIBLE_DEVICES": str(index)})
        for index in range(gpus)
    ]
    if max_concurrent:
        workers.append(WorkerPlan(pool="cpu", limit=max_concurrent))
    return Plan(threads=threads or max(1, cores // scenes), workers=tuple(workers))


def check_datasets(scheduled: tuple[Scheduled, ...]) -> None:
    """Check that each scheduled dataset can run.

    Raises:
        InputError: a dataset cannot be read, two have one name, or a schedule is invalid.
    """
    for index, one in enumerate(scheduled):
        find_scenes(one.dataset, one.config, roots=Settings().roots())
        one.schedule()
        for other in scheduled[:index]:
            if other.deployment == one.deployment:
                raise InputError(
                    f"'{other.dataset}' and '{one.dataset}' are both named "
                    f"'{name_of(one.dataset)}', so their runs would be mixed up; rename one"
                )


def serve(scheduled: tuple[Scheduled, ...], *, max_concurrent: int) -> None:
    """Run server, workers and schedules until SIGINT or SIGTERM.

    Args:
        max_concurrent: see :func:`plan_workers`.

    Raises:
        UnseenError: another process serves, the API does not answer, or an argument is invalid.
    """
    check_datasets(scheduled)
    settings = Settings()
    gpus = _gpus(settings)
    plan = plan_workers(
        cores=usable_cores(), gpus=gpus, threads=settings.threads, max_concurrent=max_concurrent
    )
    pool = "gpu" if gpus else "cpu"
    os.environ["UNSEEN_THREADS"] = str(plan.threads)
    refused = "another 'unseen serve' runs on this machine; end that one first"
    with _stop_signal() as stop, lock("serve", refused=refused), contextlib.ExitStack() as stack:
        api = stack.enter_context(supervised_api(notify=_log))
        use_api(api)
        if api.started:
            crash_orphans()
        deploy(pool)
        deploy_schedules(scheduled, pool)
        watch_heartbeats()
        parents = WorkerPlan(pool="datasets", limit=MAX_CONCURRENT_DATASETS)
        for one in (parents, *plan.workers):
            stack.enter_context(
                worker(
                    one.pool,
                    None,
                    name=one.name,
                    limit=one.limit,
                    environment={**HEARTBEAT_ENVIRONMENT, **one.environment},
                    notify=_log,
                )
            )
        print(_summary(api, plan, scheduled, settings), flush=True)
        stop.wait()
        print("stopping; finished stages are kept", flush=True)


def _gpus(settings: Settings) -> int:
    if settings.machine().device == "cpu":
        return 0
    import torch  # late: takes seconds to import, and machines set to the CPU need none

    return torch.cuda.device_count()


@contextlib.contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that is set by SIGINT, SIGTERM and SIGHUP, however often they arrive."""
    stop = threading.Event()
    handled = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # else 'nohup' outlives the terminal
        handled.append(signal.SIGHUP)
    before = {one: signal.signal(one, lambda *_: stop.set()) for one in handled}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _summary(api: Api, plan: Plan, scheduled: tuple[Scheduled, ...], settings: Settings) -> str:
    lines = [f"Prefect UI: {api.ui}{api.login}", f"store: {settings.open_store().root}"]
    lines += [
        f"worker of pool {one.pool}: {one.limit} at a time, {plan.threads} threads each"
        for one in plan.workers
    ]
    lines += [
        f"{one.dataset}: at {one.cron} ({one.timezone}), or run '{one.deployment}' in the UI"
        for one in scheduled
    ]
    return "\n".join([*lines, "serving until Ctrl-C"])


def _log(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)
