"""What a run is doing, read from Prefect and shown in the terminal while it goes on."""

import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
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
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from flows.runs.record import tag_of

SECONDS_BETWEEN_LOOKS = 2.0
SHARE_OF_LOOKING = 0.05
"""Of one core's time, at most: hundreds of scenes are much to read, and for the server to say."""
PAGE = 200
"""Runs that the API gives at a time, at most."""
ONGOING = ("running", "starting", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneProgress:
    """One scene of a run, as far as it has come."""

    scene: str
    state: str
    seconds: float
    stage: str = ""
    share: float = 0.0
    doing: str = ""


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


def look(client: SyncPrefectClient, run: str) -> list[SceneProgress]:
    """Where each scene of a run is."""
    flow_runs = scene_runs(client, run)
    going_on = {one.id: one for one in flow_runs if one.state and one.state.is_running()}
    latest = {}
    if going_on:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=list(going_on)),
                type=ArtifactFilterType(any_=["progress"]),
            )
        )
        for found in sorted(artifacts, key=lambda found: str(found.updated)):
            latest[found.flow_run_id] = found
    shown = []
    for one in flow_runs:
        artifact = latest.get(one.id)
        shown.append(
            SceneProgress(
                scene=one.name,
                state=_state_of(one),
                seconds=one.estimated_run_time.total_seconds(),
                stage=(artifact.key or "").removeprefix("progress-") if artifact else "",
                share=float(artifact.data) / 100 if artifact and artifact.data else 0.0,  # type: ignore[arg-type]
                doing=(artifact.description or "") if artifact else "",
            )
        )
    return shown


def _state_of(flow_run: FlowRun) -> str:
    """In our words: Prefect calls a run late whose turn has not come."""
    if flow_run.state is None or flow_run.state.is_scheduled():
        return "waiting"
    if flow_run.state.is_pending():
        return "starting"
    return str(flow_run.state.name).lower()


@contextlib.contextmanager
def watching(run: str) -> Iterator[None]:
    """Show the progress while the block runs: live in a terminal, else a line for each change."""
    ended = threading.Event()
    shower = threading.Thread(target=_show_until, args=(run, ended), daemon=True)
    shower.start()
    try:
        yield
    finally:
        ended.set()
        shower.join(timeout=10)


def _show_until(run: str, ended: threading.Event) -> None:
    console = Console(stderr=True)
    with get_client(sync_client=True) as client, contextlib.ExitStack() as stack:
        live = stack.enter_context(Live(console=console)) if sys.stderr.isatty() else None
        said: dict[str, tuple[str, str, int]] = {}
        looked_s = 0.0
        while True:
            last = ended.wait(max(SECONDS_BETWEEN_LOOKS, looked_s / SHARE_OF_LOOKING))
            began = time.thread_time()
            with contextlib.suppress(Exception):  # a busy server is asked again
                scenes = look(client, run)
                if live:
                    live.update(_table(scenes, console.height - 4))
                else:
                    _say_changes(console, scenes, said)
            if last:
                return
            looked_s = time.thread_time() - began


def _table(scenes: Sequence[SceneProgress], height: int) -> Table:
    """The scenes, those that run first where there is not room for all."""
    table = Table(box=None, padding=(0, 1))
    for title in ("scene", "state", "time", "stage", "", ""):
        table.add_column(title, no_wrap=True)
    shown = list(scenes)
    if len(shown) > height:
        order = {state: place for place, state in enumerate(ONGOING)}
        shown.sort(key=lambda scene: order.get(scene.state, len(order)))
    for scene in shown[:height]:
        running = scene.state == "running"
        table.add_row(
            escape(scene.scene),
            scene.state,
            clock(scene.seconds),
            scene.stage if running else "",
            ProgressBar(total=1.0, completed=scene.share, width=24) if running else "",
            escape(scene.doing) if running else "",
        )
    if rest := Counter(scene.state for scene in shown[height:]):
        listed = ", ".join(f"{count} {state}" for state, count in rest.items())
        table.caption = f"and {listed}"
    return table


def clock(seconds: float) -> str:
    """Hours where there are any, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def _say_changes(
    console: Console, scenes: Sequence[SceneProgress], said: dict[str, tuple[str, str, int]]
) -> None:
    """One line for each new state, stage or quarter of a stage: logs stay readable."""
    for scene in scenes:
        now = (scene.state, scene.stage, int(4 * scene.share))
        if said.get(scene.scene) == now:
            continue
        said[scene.scene] = now
        where = f" {scene.stage} {scene.share:.0%} {scene.doing}" if scene.stage else ""
        console.print(f"{escape(scene.scene)}: {scene.state}{escape(where)}", soft_wrap=True)
