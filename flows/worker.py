"""What a flow run owes to the worker that started its process."""

import contextlib
import os

from prefect.runtime import flow_run

from tasks.processes import end_with_reader


def end_with_worker() -> contextlib.AbstractContextManager[None]:
    """Leave no flow run that nobody watches: a worker that is killed takes its flow runs along.

    A worker that is told to stop ends them itself, and as long as it lives it reads their output.
    Where a command runs the flow in its own process there is no worker, and a reader such as 'head'
    may leave.
    """
    started_for_this_run = os.environ.get("PREFECT__FLOW_RUN_ID") == flow_run.id
    return end_with_reader() if started_for_this_run else contextlib.nullcontext()
