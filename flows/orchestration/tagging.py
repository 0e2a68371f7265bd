"""Tags by which Prefect's UI finds flow runs and task runs."""

import contextlib
from uuid import UUID

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run


def tag_flow_run(*wanted: str) -> tuple[str, ...]:
    """Have the running flow run tagged, whoever started it; all its tags.

    One that the UI or a schedule starts has the tags of its deployment only. What goes wrong with
    telling is not the run's business.
    """
    tags = tuple(dict.fromkeys((*flow_run.tags, *wanted)))
    if len(tags) > len(flow_run.tags):
        with contextlib.suppress(HTTPError), get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run.id), tags=tags)
    return tags
