"""Running one stage of a scene: where its cached result lies, and its row in ``stages``."""

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, get_args

import psutil
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.filesystems import RemoteFileSystem
from prefect.logging import get_run_logger
from prefect.tasks import Task

from flows.config import Stage
from flows.stages.limits import time_limit
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.names import object_name
from storage.store import Store
from tasks.caching import RECORDS, is_fault_of_the_machine
from tasks.errors import TimeLimitError
from tasks.runtime.context import Site

SECONDS_OF_PATIENCE = 600.0
SECONDS_BETWEEN_STARTS = 5.0


@dataclass(slots=True, kw_only=True)
class StageRunner:
    """Runs the stages of one scene in turn and keeps their rows."""

    site: Site
    run: str
    scene: str
    recompute_from: Stage | None = None
    """Its cached result, and those of what follows, are not used."""
    limit_seconds: float = 0.0
    """Of one stage; past it, the process ends. 0 for none."""
    on_timeout: Callable[[TimeLimitError], None]
    """Told that the process ends, on another thread."""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __call__(
        self, stage: Task[..., ArrayHandle], *inputs: ArrayHandle, **parameters: Any
    ) -> ArrayHandle:
        """Run or recall a stage; its row is written however it ends.

        Raises:
            Exception: what the stage raised.
        """
        retried = 0

        def judge(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
            nonlocal retried
            again = is_fault_of_the_machine(task, task_run, state)
            retried += again
            return again

        recalled_or_run = stage.with_options(
            result_storage=cache_storage(self.site.store),
            retry_condition_fn=judge,
            refresh_cache=self._is_anew(stage.name),
            tags=[*stage.tags, f"stage:{stage.name}"],
        )
        started = time.monotonic()
        memory = PeakMemory()
        tell = functools.partial(self._tell_limit, stage.name, memory)
        with memory, time_limit(self.limit_seconds, tell):
            start = functools.partial(
                recalled_or_run, self.scene, *inputs, site=self.site, **parameters
            )
            state = with_retries(start)
        row = {
            "stage": stage.name,
            "seconds": time.monotonic() - started,
            "peak_memory_mib": memory.peak_mib,
            "cached": state.name == "Cached",
            "attempt": 1 + retried,
            "state": state.type.value.lower(),
        }
        handle = None
        try:
            handle = state.result()
            return handle
        finally:
            if handle is not None:
                row |= {"digest": handle.digest, "uri": handle.uri}
            self._add(row)
            get_run_logger().info(
                "%s: %s in %.1f s, with up to %.0f MiB",
                stage.name,
                "recalled" if row["cached"] else row["state"],
                row["seconds"],
                memory.peak_mib,
            )

    def _tell_limit(self, stage: str, memory: "PeakMemory") -> None:
        self._add(
            {
                "stage": stage,
                "seconds": self.limit_seconds,
                "peak_memory_mib": memory.peak_mib,
                "cached": False,
                "state": "failed",
            }
        )
        self.on_timeout(
            TimeLimitError(
                f"the stage {stage} has gone on for {self.limit_seconds:g} s, its limit, so the "
                "scene's process was ended; find out what it hangs on, or set "
                "UNSEEN_STAGE_SECONDS higher, and run 'unseen resume'"
            )
        )

    def _add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        write_rows(self.site.store, "stages", run=self.run, scene=self.scene, rows=self.rows)

    def _is_anew(self, stage: str) -> bool:
        order: tuple[str, ...] = get_args(Stage)
        return self.recompute_from is not None and (
            order.index(stage) >= order.index(self.recompute_from)
        )


def with_retries(start: Callable[..., Any]) -> State[ArrayHandle]:
    """Start a stage; again where the server is too busy to say whether its tags are limited.

    Prefect asks that of every task run with tags before it begins, and fails without an answer.
    """
    deadline = time.monotonic() + SECONDS_OF_PATIENCE
    while True:
        try:
            state: State[ArrayHandle] = start(return_state=True)
            return state
        except ConcurrencySlotAcquisitionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(SECONDS_BETWEEN_STARTS)


def cache_storage(store: Store) -> Any:
    """Where Prefect keeps the records of finished stages: in the store itself."""
    if store.local is not None:
        return store.local / RECORDS
    block = RemoteFileSystem(basepath=f"{store.root}/{RECORDS}")
    name = object_name(store.root).lower()
    slug = "".join(c if c.isalnum() else "-" for c in name)
    block.save(f"unseen-cache-{slug}"[:200], overwrite=True)  # Prefect takes saved blocks only
    return block


class PeakMemory:
    """The largest memory of this process and its children while the block runs, by sampling."""

    SECONDS_BETWEEN_SAMPLES = 0.2

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._sampler.join()

    def _sample(self) -> None:
        process = psutil.Process()
        while True:
            resident = 0
            for one in (process, *process.children(recursive=True)):
                try:
                    resident += one.memory_info().rss
                except psutil.Error:  # a child that ended meanwhile
                    continue
            self.peak_mib = max(self.peak_mib, resident / 2**20)
            if self._ended.wait(self.SECONDS_BETWEEN_SAMPLES):
                return
