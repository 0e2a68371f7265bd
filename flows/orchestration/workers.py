"""Process workers of a Prefect work pool, supervised while a command runs."""

import contextlib
import os
import sys
from collections.abc import Mapping

from flows.orchestration.supervisor import SECONDS_TO_END, Notify, ignore, supervised
from flows.settings import prefect_home

WORKER_ENVIRONMENT = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_LOGGING_LEVEL": "INFO",  # of the scenes, for the UI; the terminal shows warnings only
    # About four minutes of retries, not one: a server short of CPU time costs no scene.
    "PREFECT_CLIENT_MAX_RETRIES": "7",
}


def worker(
    pool: str,
    queue: str | None,
    *,
    name: str,
    limit: int,
    environment: Mapping[str, str],
    seconds_to_end: float = SECONDS_TO_END,
    notify: Notify = ignore,
) -> contextlib.AbstractContextManager[None]:
    """A process worker that pulls from a pool while the block runs, restarted when it dies.

    Args:
        queue: of the pool; None for all of them.
        name: shown in the UI.
        limit: maximum number of concurrent flow runs.
        environment: variables added to ours, for the worker and its flow runs.
        seconds_to_end: grace period for its flow runs once the block has ended.
        notify: receives a sentence whenever the worker dies.
    """
    command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process"]
    command += ["--pool", pool, "--limit", str(limit), "--name", name]
    command += ["--work-queue", queue] if queue else []
    return supervised(
        f"the worker {name}",
        command,
        log=prefect_home() / "unseen-worker.log",
        environment={**os.environ, **WORKER_ENVIRONMENT, **environment},
        seconds_to_end=seconds_to_end,
        notify=notify,
    )
