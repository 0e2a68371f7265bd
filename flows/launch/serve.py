"""One machine that works by itself: server, workers and schedules, until it is told to stop."""

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
from flows.orchestration.locks import lock
from flows.orchestration.server import kept_api, use_api, worker
from flows.runs.manifest import find_scenes
from flows.runs.record import name_of
from flows.settings import CORES_A_SCENE, Settings, usable_cores
from tasks.errors import InputError

DATASETS_AT_ONCE = 8
"""They only wait for their scenes, about 250 MiB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """One worker: the pool it serves, and scenes at a time."""

    pool: str
    limit: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        gpu = self.environment.get("CUDA_VISIBLE_DEVICES", "")
        return f"serve-{socket.gethostname()}-{self.pool}{gpu}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The workers of scenes, and the CPU threads of each scene."""

    threads: int
    workers: tuple[WorkerPlan, ...]


def plan_workers(*, cores: int, gpus: int, threads: int, max_concurrent: int) -> Plan:
    """Workers that together use no more threads than there are cores.

    A GPU has a worker with one scene at a time, and the CPU one with the others. Only where that
    is asked for are there more scenes than cores, with a thread each.

    Args:
        threads: of a scene, 0 to leave it to us.
        at_once: scenes on CPUs at a time; 0 for as many as have room, and beside GPUs none.

    Raises:
        InputError: less than none at a time, or more threads than there are cores for them.
    """
    if max_concurrent < 0:
        raise InputError(
            f"{max_concurrent} scenes cannot run at once; give 1 or more, or 0 to leave it"
        )
    if not max_concurrent and not gpus:
        max_concurrent = max(1, cores // (threads or CORES_A_SCENE))
    scenes = gpus + max_concurrent
    if threads and threads * scenes > max(cores, scenes):
        raise InputError(
            f"{scenes} scenes at a time with {threads} threads each (UNSEEN_THREADS) are more than "
            f"the {cores} cores here; lower either, or unset UNSEEN_THREADS"
        )
    workers = [
        WorkerPlan(pool="gpu", limit=1, environment={"CUDA_VISIBLE_DEVICES": str(index)})
        for index in range(gpus)
    ]
    if max_concurrent:
        workers.append(WorkerPlan(pool="cpu", limit=max_concurrent))
    return Plan(threads=threads or max(1, cores // scenes), workers=tuple(workers))


def check_datasets(scheduled: tuple[Scheduled, ...]) -> None:
    """Refuse what cannot be run at any time.

    Raises:
        InputError: a dataset cannot be read, two have one name, or a schedule is none.
    """
    for index, one in enumerate(scheduled):
        find_scenes(one.dataset, one.config, roots=Settings().roots())
        one.schedule()
        for other in scheduled[:index]:
            if other.deployment == one.deployment:
                raise InputError(
                    f"'{other.dataset}' and '{one.dataset}' are both named "
                    f"'{name_of(one.dataset)}', so their runs could not be told apart; rename one"
                )


def serve(scheduled: tuple[Scheduled, ...], *, max_concurrent: int) -> None:
    """Keep server, workers and schedules running until SIGINT or SIGTERM; then end all of it.

    Args:
        at_once: see :func:`plan_workers`.

    Raises:
        UnseenError: another one serves, the API does not answer, or an argument is wrong.
    """
    check_datasets(scheduled)
    settings = Settings()
    gpus = _gpus(settings)
    plan = plan_workers(
        cores=usable_cores(), gpus=gpus, threads=settings.threads, max_concurrent=max_concurrent
    )
    pool = "gpu" if gpus else "cpu"
    os.environ["UNSEEN_THREADS"] = str(plan.threads)
    refused = "another 'unseen serve' serves this machine; end that one first"
    with _told_to_stop() as stop, lock("serve", refused=refused), contextlib.ExitStack() as kept:
        api = kept.enter_context(kept_api(tell=_tell))
        use_api(api)
        if api.started:
            crash_orphans()
        deploy(pool)
        deploy_schedules(scheduled, pool)
        watch_heartbeats()
        parents = WorkerPlan(pool="datasets", limit=DATASETS_AT_ONCE)
        for one in (parents, *plan.workers):
            kept.enter_context(
                worker(
                    one.pool,
                    None,
                    name=one.name,
                    limit=one.limit,
                    environment={**HEARTBEAT_ENVIRONMENT, **one.environment},
                    tell=_tell,
                )
            )
        print(_told(api.ui, plan, scheduled, settings), flush=True)
        stop.wait()
        print("stopping; what was finished is kept", flush=True)


def _gpus(settings: Settings) -> int:
    if settings.machine().device == "cpu":
        return 0
    import torch  # late: seconds to import, and CPU machines do not ask for it

    return torch.cuda.device_count()


@contextlib.contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """An event that is set when somebody tells this process to end, as often as they do."""
    stop = threading.Event()
    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # else 'nohup' outlives the terminal
        heard.append(signal.SIGHUP)
    before = {one: signal.signal(one, lambda *_: stop.set()) for one in heard}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _told(ui: str, plan: Plan, scheduled: tuple[Scheduled, ...], settings: Settings) -> str:
    lines = [f"Prefect UI: {ui}", f"store: {settings.open_store().root}"]
    lines += [
        f"worker of {one.pool}: {one.limit} at a time, {plan.threads} threads each"
        for one in plan.workers
    ]
    lines += [
        f"{one.dataset}: at {one.cron} ({one.timezone}), or run '{one.deployment}' in the UI"
        for one in scheduled
    ]
    return "\n".join([*lines, "serving until Ctrl-C"])


def _tell(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)
