"""Detection of dead flow runs by their missing heartbeats."""

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
"""The shortest interval that Prefect allows."""
SECONDS_OF_SILENCE = 4 * HEARTBEAT_SECONDS
HEARTBEAT_ENVIRONMENT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}
ENDS = frozenset(f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled"))
PAGE = 200
"""Maximum number of flow runs in one answer of the API."""


def watch_heartbeats() -> None:
    """Install or update the automation that marks a flow run crashed when its heartbeats stop."""
    automation = AutomationCore(
        name=NAME,
        description="Marks flow runs as crashed whose process and worker have died.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.heartbeat"},
            # A sign of life, or an end after which no heartbeat comes.
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
                # A busy server may receive the last heartbeat after the end state, which must stay.
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
    """Mark flow runs of our pools crashed that ran when the server died with all its workers."""
    unfinished = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(
                any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
            )
        )
    )
    pools = WorkPoolFilter(name=WorkPoolFilterName(any_=list(POOLS)))
    dead: State[None] = Crashed(message="killed together with the machine's 'unseen serve'")
    with get_client(sync_client=True) as client:
        while orphans := client.read_flow_runs(
            flow_run_filter=unfinished, work_pool_filter=pools, limit=PAGE
        ):
            for orphan in orphans:
                client.set_flow_run_state(orphan.id, dead, force=True)
