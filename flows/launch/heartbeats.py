"""Flow runs whose process and worker have both died: told from their silence."""

from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import State, StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.states import Crashed

from flows.launch.deployments import POOLS

NAME = "unseen: flow runs that have gone silent"
HEARTBEAT_SECONDS = 30
"""The least that Prefect allows."""
SECONDS_OF_SILENCE = 4 * HEARTBEAT_SECONDS
HEARTBEAT_ENVIRONMENT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}
ENDS = frozenset(f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled"))
PAGE = 200
"""Runs that the API gives at a time, at most."""


def watch_heartbeats() -> None:
    """Have the server call a flow run crashed that sent heartbeats and does so no more.

    Installing it again brings it up to date.
    """
    automation = AutomationCore(
        name=NAME,
        description="Marks flow runs as crashed whose process and worker have died.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.heartbeat"},
            # Either says that it lives, or that there is nothing more to hear.
            expect={"prefect.flow-run.heartbeat", "prefect.flow-run.Crashed", *ENDS},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=SECONDS_OF_SILENCE),
        ),
        actions=[
            ChangeFlowRunState(
                name="Crashed",
                state=StateType.CRASHED,
                message=f"no heartbeat for {SECONDS_OF_SILENCE} s: its process and worker are dead",
                # Of a busy server a last heartbeat may come after the end, which is to stand.
                force=False,
            )
        ],
    )
    with get_client(sync_client=True) as client:
        found = client.read_automations_by_name(NAME)
        if found:
            client.update_automation(found[0].id, automation)
        else:
            client.create_automation(automation)


def crash_orphans() -> None:
    """Call crashed what our pools were running when the server died with all its workers."""
    going_on = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(
                any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
            )
        )
    )
    pools = WorkPoolFilter(name=WorkPoolFilterName(any_=list(POOLS)))
    dead: State[None] = Crashed(message="the machine's 'unseen serve' was killed, and this with it")
    with get_client(sync_client=True) as client:
        while orphans := client.read_flow_runs(
            flow_run_filter=going_on, work_pool_filter=pools, limit=PAGE
        ):
            for orphan in orphans:
                client.set_flow_run_state(orphan.id, dead, force=True)
