"""The running flow run: its process, its liveness, its tags, and whether it is a retry."""

import contextlib
import os
from uuid import UUID

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from flows.orchestration.locks import lock_until_exit
from tasks.runtime.orphans import end_with_reader


def end_with_worker() -> contextlib.AbstractContextManager[None]:
    """End this process when its worker is killed, so that no flow run is left without one.

    A worker that stops in order ends its flow runs itself; while it lives it reads their output,
    so a closed pipe means that it is dead. A flow run in a command's own process has no worker,
    and the reader of its output, such as 'head', may leave: nothing is done there.
    """
    return end_with_reader() if _started_by_worker() else contextlib.nullcontext()


def show_life() -> None:
    """Hold the liveness lock of this flow run, by which others on this machine see it die.

    A worker takes exit status 0 for a good end, and a killed worker reports nothing: without the
    lock such a flow run would be called running for ever.

    Raises:
        MachineError: Prefect's home cannot be written.
    """
    if _started_by_worker():
        lock_until_exit(liveness_lock(UUID(flow_run.id)))


def liveness_lock(flow_run_id: UUID) -> str:
    """The name of the lock that the process of a flow run holds while it lives."""
    return f"flow-run-{flow_run_id}"


def tag_flow_run(*wanted: str) -> tuple[str, ...]:
    """Add tags to the running flow run; all its tags.

    A flow run started by the UI or a schedule has the tags of its deployment only. An API that
    does not take them is no reason to fail the run.
    """
    tags = tuple(dict.fromkeys((*flow_run.tags, *wanted)))
    if len(tags) > len(flow_run.tags):
        with contextlib.suppress(HTTPError), get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run.id), tags=tags)
    return tags


def is_retry() -> bool:
    """Whether the flow run was started before, as by the retry button of Prefect's UI."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(UUID(flow_run.id))
    # A run is named before it is called running, and counted from then on.
    this_start = int(found.state is not None and found.state.is_running())
    return found.run_count > this_start


def _started_by_worker() -> bool:
    return os.environ.get("PREFECT__FLOW_RUN_ID") == flow_run.id
