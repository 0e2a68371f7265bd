"""What a flow run must know of how its process was started."""

import contextlib
import os
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from flows.orchestration.locks import lock_to_the_end
from tasks.runtime.orphans import end_with_reader


def end_with_worker() -> contextlib.AbstractContextManager[None]:
    """Leave no flow run that nobody watches: a worker that is killed takes its flow runs along.

    A worker that is told to stop ends them itself, and as long as it lives it reads their output.
    Where a command runs the flow in its own process there is no worker, and a reader such as 'head'
    may leave.
    """
    return end_with_reader() if _started_for_this_run() else contextlib.nullcontext()


def show_life() -> None:
    """Have who waits for this flow run on this machine see when its process is no more.

    A worker takes exit status 0 for a good end, and one that is killed says nothing at all: the
    flow run would be called running for ever.

    Raises:
        MachineError: Prefect's home cannot be written.
    """
    if _started_for_this_run():
        lock_to_the_end(liveness_lock(UUID(flow_run.id)))


def liveness_lock(flow_run_id: UUID) -> str:
    """The lock that the process of a flow run holds while it lives."""
    return f"flow-run-{flow_run_id}"


def _started_for_this_run() -> bool:
    return os.environ.get("PREFECT__FLOW_RUN_ID") == flow_run.id


def is_retry() -> bool:
    """Whether the flow run was started before, as by the retry button of Prefect's UI."""
    with get_client(sync_client=True) as client:
        seen = client.read_flow_run(UUID(flow_run.id))
    # A run is named before it is called running, and counted from then on.
    this_start = int(seen.state is not None and seen.state.is_running())
    return seen.run_count > this_start
