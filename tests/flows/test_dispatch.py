"""Waiting for scene flow runs, on a real server."""

import asyncio
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running

from flows.dispatch import ended_among

pytestmark = pytest.mark.slow


@flow
def a_scene() -> None:
    """Never run: only its runs' states matter."""


def test_own_flow_runs_in_any_final_state_are_found_and_foreign_runs_are_not(
    api: str, api_password: str
) -> None:
    async def found() -> tuple[set[UUID], set[UUID]]:
        async with PrefectClient(api, auth_string=api_password) as client:
            states = (Completed(), Failed(), Crashed(), Cancelled())
            ended = {(await client.create_flow_run(a_scene, state=state)).id for state in states}
            going_on = {
                (await client.create_flow_run(a_scene, state=state)).id
                for state in (Pending(), Running())
            }
            await client.create_flow_run(a_scene, state=Completed())  # somebody else's
            assert [one.id for one in await ended_among(client, going_on)] == []
            return {one.id for one in await ended_among(client, ended | going_on)}, ended

    given, expected = asyncio.run(found())
    assert given == expected


def test_a_scene_whose_run_was_deleted_is_not_waited_for(api: str, api_password: str) -> None:
    async def wait() -> None:
        async with PrefectClient(api, auth_string=api_password) as client:
            going_on = await client.create_flow_run(a_scene, state=Running())
            await ended_among(client, {going_on.id, uuid4()})

    with pytest.raises(ObjectNotFound):
        asyncio.run(wait())
