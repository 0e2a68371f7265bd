"""Progress of a run's scenes, read from Prefect and from the locks of this machine."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
    FlowRunFilter,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from flows.orchestration.api import find_api, use_api
from flows.orchestration.locks import is_free, is_held
from flows.runs.record import lock_of, tag_of
from storage.errors import UnseenError

PAGE = 200
"""Maximum number of flow runs in one answer of the API."""
ONGOING = ("running", "starting", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneProgress:
    """State of one scene of a run, with the progress of its current stage."""

    scene: str
    state: str
    seconds: float
    stage: str = ""
    share: float = 0.0
    doing: str = ""


def is_ongoing(run: str) -> bool:
    """Whether a process of this machine works on a run, or scenes of it wait or run elsewhere."""
    return is_held(lock_of(run)) or bool(ongoing_scenes(run))


def ongoing_scenes(run: str) -> Sequence[SceneProgress]:
    """Scenes of a run that wait or run, according to Prefect; none where no API answers.

    The lock of the run is checked first: Prefect keeps a scene running whose process was killed
    together with all others of the run.
    """
    if is_free(lock_of(run)):
        return []
    with contextlib.suppress(UnseenError):
        api = find_api()
        if api is None:
            return []
        use_api(api)
        with contextlib.suppress(Exception), get_client(sync_client=True) as client:
            return [one for one in read_progress(client, run) if one.state in ONGOING]
    return []


def scene_runs(client: SyncPrefectClient, run: str) -> Sequence[FlowRun]:
    """The flow runs of a run's scenes, the newest of each scene."""
    tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag_of(run)]))
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_run_filter=tagged,
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=PAGE,
        offset=len(found),
    ):
        found += page
        if len(page) < PAGE:
            break
    newest: dict[str, FlowRun] = {}
    for one in sorted(found, key=lambda one: str(one.created)):
        newest[one.name] = one
    return list(newest.values())


def read_progress(client: SyncPrefectClient, run: str) -> list[SceneProgress]:
    """The progress of each scene of a run."""
    flow_runs = scene_runs(client, run)
    running = [one.id for one in flow_runs if one.state and one.state.is_running()]
    latest = {}
    if running:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=running),
                type=ArtifactFilterType(any_=["progress"]),
            )
        )
        for found in sorted(artifacts, key=lambda found: str(found.updated)):
            latest[found.flow_run_id] = found
    progress = []
    for one in flow_runs:
        artifact = latest.get(one.id)
        progress.append(
            SceneProgress(
                scene=one.name,
                state=_state_of(one),
                seconds=one.estimated_run_time.total_seconds(),
                stage=(artifact.key or "").removeprefix("progress-") if artifact else "",
                share=float(artifact.data or 0) / 100 if artifact else 0.0,  # type: ignore[arg-type]
                doing=(artifact.description or "") if artifact else "",
            )
        )
    return progress


def _state_of(flow_run: FlowRun) -> str:
    """Prefect's state, except that a run whose turn has not come is waiting, not late."""
    if flow_run.state is None or flow_run.state.is_scheduled():
        return "waiting"
    if flow_run.state.is_pending():
        return "starting"
    return str(flow_run.state.name).lower()
