"""Runs on one machine among those of others, on a real server."""

from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.launch.local import queue_of_run

pytestmark = pytest.mark.slow
POOL = "shared"


@pytest.fixture
def client(api: str, api_password: str) -> Iterator[SyncPrefectClient]:
    ours = {PREFECT_API_URL: api, PREFECT_API_AUTH_STRING: api_password}
    with temporary_settings(ours), SyncPrefectClient(api, auth_string=api_password) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        yield client


def priorities(client: SyncPrefectClient) -> dict[str, int]:
    """Of the pool's queues, as workers go by them: the smallest first."""
    queues = client.read_work_queues(work_pool_name=POOL)
    return {queue.name: queue.priority for queue in queues}


def test_a_run_goes_last_unless_its_priority_is_set(
    client: SyncPrefectClient,
) -> None:
    with queue_of_run(POOL, "first"), queue_of_run(POOL, "last"):
        found = priorities(client)
        assert found["first"] < found["last"]
        with queue_of_run(POOL, "urgent", priority=1):
            found = priorities(client)
            assert found["urgent"] < found["first"] < found["last"]
    assert set(priorities(client)) == {"default"}


def test_a_resumed_run_has_its_new_priority(client: SyncPrefectClient) -> None:
    client.create_work_queue(name="killed", work_pool_name=POOL)  # what a killed one leaves
    with queue_of_run(POOL, "other"), queue_of_run(POOL, "killed", priority=1):
        found = priorities(client)
        assert found["killed"] < found["other"]
