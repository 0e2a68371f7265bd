"""Running the stages of a scene: cached results, retries, time limits, rows of ``stages``."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.filesystems import RemoteFileSystem
from prefect.logging import get_run_logger
from prefect.tasks import Task

from flows.config import STAGES, StageName
from flows.stages.limits import PeakMemory, time_limit
from storage.handles import ArrayHandle
from storage.metrics import write_rows
from storage.names import object_name
from storage.store import Store
from tasks.caching import RECORDS, is_fault_of_the_machine, stage_task
from tasks.errors import TimeLimitError
from tasks.runtime.context import Machine
from tasks.stage import Stage

SECONDS_OF_PATIENCE = 600.0
SECONDS_BETWEEN_STARTS = 5.0


@dataclass(slots=True, kw_only=True)
class StageRunner:
    """A :class:`flows.stages.pipeline.Run` that computes what is not cached, and keeps the rows of
    one scene's stages."""

    machine: Machine
    run: str
    scene: str
    recompute_from: StageName | None = None
    """First stage whose cached result is not used, nor those of the stages after it."""
    limit_seconds: float = 0.0
    """Time limit of one stage; past it, the process ends. 0 for none."""
    on_timeout: Callable[[TimeLimitError, list[dict[str, Any]]], None]
    """Called on another thread before the process ends, with the rows of the stages."""
    on_result: Callable[[ArrayHandle], None] = lambda handle: None
    """Called with every artefact, computed or recalled."""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, stage: Stage, **inputs: Any) -> ArrayHandle:
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

        task = stage_task(stage).with_options(
            result_storage=cache_storage(self.machine.store),
            retry_condition_fn=judge,
            refresh_cache=self._recomputes(stage),
            tags=[f"stage:{stage.name}"],
        )
        started = time.monotonic()
        memory = PeakMemory()
        on_timeout = functools.partial(self._on_timeout, stage.name, memory)
        with memory, time_limit(self.limit_seconds, on_timeout):
            state = with_retries(functools.partial(task, self.scene, inputs, self.machine))
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
                self.on_result(handle)
            self._add(row)
            get_run_logger().info(
                "%s: %s in %.1f s, with up to %.0f MiB",
                stage.name,
                "recalled" if row["cached"] else row["state"],
                row["seconds"],
                memory.peak_mib,
            )

    def _on_timeout(self, stage: str, memory: PeakMemory) -> None:
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
            ),
            self.rows,
        )

    def _add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        write_rows(self.machine.store, "stages", run=self.run, scene=self.scene, rows=self.rows)

    def _recomputes(self, stage: Stage) -> bool:
        names = [one.name for one in STAGES]
        first = self.recompute_from
        return first is not None and names.index(stage.name) >= names.index(first)


def with_retries(start: Callable[..., Any]) -> State[ArrayHandle]:
    """Start a stage; again while the server is too busy to answer.

    Prefect reads the limits of a task run's tags before the run begins, and fails without them.
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
