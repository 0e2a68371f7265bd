"""Outcomes of a run's scenes: rows for scenes whose process wrote none, and the run's verdict."""

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Failed

from flows.runs.record import RunRecord
from storage.errors import IntegrityError
from storage.metrics import read_scene, read_table, remove_damaged_rows, write_rows
from storage.store import Store
from tasks.errors import TimeLimitError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a scene without a result ended, as a row of ``scenes``."""

    state: str
    error_type: str
    message: str

    def write(self, store: Store, run: str, scene: str) -> None:
        row = {
            "state": self.state,
            "error_type": self.error_type,
            "error_message": self.message,
        }
        write_rows(store, "scenes", run=run, scene=scene, rows=[row])


def rows_written_at(store: Store, run: str) -> Mapping[str, datetime]:
    """When the row of each scene was written."""
    rows = read_table(store, "scenes", run=run, columns=("scene", "written_at"))
    return dict(zip(rows["scene"], rows["written_at"], strict=True))


def write_missing_row(
    store: Store, run: str, ended: FlowRun, before: Mapping[str, datetime]
) -> None:
    """Write the row of an ended scene whose process died before it wrote one.

    Args:
        before: :func:`rows_written_at` before the scenes started. Times are compared for equality
            only, since the clocks of the writers may differ from ours.
    """
    try:
        rows = read_scene(store, "scenes", run=run, scene=ended.name)
    except IntegrityError:  # of this scene alone: the run still waits for the others
        _rows_lost(["scenes"]).write(store, run, ended.name)
        return
    if rows.empty or rows["written_at"].max() == before.get(ended.name):
        _outcome_of(ended).write(store, run, ended.name)


def fail_damaged_scenes(store: Store, record: RunRecord) -> None:
    """A scene of the run with damaged rows becomes a failed one."""
    lost = remove_damaged_rows(store, record.run, record.scenes)
    for scene, tables in lost.items():
        _rows_lost(tables).write(store, record.run, scene)


def verdict(store: Store, record: RunRecord) -> State[Any]:
    """Completed, or Failed with the scenes that did not complete."""
    rows = read_table(store, "scenes", run=record.run, columns=("scene", "state"))
    states = dict(zip(rows["scene"], rows["state"], strict=True))
    bad = {scene: states.get(scene, "no result") for scene in record.scenes}
    bad = {scene: state for scene, state in bad.items() if state != "completed"}
    count = len(record.scenes)
    if not count:
        return Failed(message=f"the run '{record.run}' has 0 scenes, so it has no result")
    if not bad:
        return Completed(message=f"{count} of {count} scenes completed")
    listed = ", ".join(f"{scene} ({state})" for scene, state in bad.items())
    return Failed(message=f"{len(bad)} of {count} scenes did not complete: {listed}")


def _rows_lost(tables: Sequence[str]) -> Outcome:
    return Outcome(
        state="failed",
        error_type=IntegrityError.__name__,
        message=f"some rows were damaged ({', '.join(tables)}) and were removed, so the outcome of "
        "the scene is unknown; 'unseen resume' writes them again",
    )


def _outcome_of(ended: FlowRun) -> Outcome:
    """The outcome of a scene whose process left no row, from the state of its flow run."""
    state = ended.state
    kind = state.type.value.lower() if state else "unknown"
    reason = (state.message or "no reason given").strip() if state else "no state"
    names = {"crashed": "ProcessDied", "cancelled": "Cancelled"}
    if re.search(rf"status code:? {-signal.SIGALRM}\b", reason):
        names["crashed"] = TimeLimitError.__name__
    return Outcome(
        state=kind,
        error_type=names.get(kind, "NoResult"),
        message=f"the scene's process ended without a result ({reason}); other scenes are not "
        "affected; 'unseen resume' retries it from its last finished stage",
    )
