"""The artefacts that a run's scenes have in the store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flows.config import STAGES
from flows.runs.record import RunRecord, load_run
from flows.stages.pipeline import SceneArtefacts
from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tasks.config import check_names
from tasks.errors import InputError
from tasks.stage import Stage

if TYPE_CHECKING:
    from tasks.gaussians import Gaussians


def artefacts_of(store: Store, record: RunRecord) -> Mapping[str, SceneArtefacts]:
    """The artefacts of each scene of a run, all of them, by the rows of its stages."""
    rows = read_table(store, "stages", run=record.run, columns=("scene", "stage", "digest", "uri"))
    rows = rows[rows["digest"].notna()]
    by_name = {stage.name: stage for stage in STAGES}
    found = {}
    for scene in record.scenes:
        of_scene = rows[rows["scene"] == scene]
        found[scene] = SceneArtefacts.of(
            (stage, ArrayHandle(uri=uri, kind=stage.artefact, digest=digest))
            for name, uri, digest in zip(
                of_scene["stage"], of_scene["uri"], of_scene["digest"], strict=True
            )
            if (stage := by_name.get(name))
        )
    return found


def artefacts_with(
    store: Store, run: str | None, scenes: tuple[str, ...], stage: Stage
) -> Mapping[str, SceneArtefacts]:
    """The artefacts of the named scenes, or of all that finished a stage.

    Raises:
        InputError: there is no such run; a scene is not in it or has not finished the stage;
            none has.
    """
    record = load_run(store, run)
    found, name = artefacts_of(store, record), record.run
    check_names(scenes, found, where=f"run '{name}'", kind="scene")
    for scene in scenes:
        if not found[scene].all_of(stage):
            raise InputError(
                f"the scene '{scene}' of run '{name}' has not finished the stage {stage.name}; "
                "see 'unseen status' for why, and 'unseen resume'"
            )
    chosen = {
        scene: found[scene] for scene in (scenes or sorted(found)) if found[scene].all_of(stage)
    }
    if not chosen:
        raise InputError(
            f"no scene of run '{name}' has finished the stage {stage.name}; "
            "see 'unseen status' for why"
        )
    return chosen


def selected_splat(artefacts: SceneArtefacts) -> "Gaussians":
    """The splat that a scene shows and exports: the distilled one or its control, whichever shows
    the validation photos better; the fitted one where nothing was distilled.

    Args:
        artefacts: of a scene that has finished the stage splat.
    """
    from tasks.splat.artefact import read_gaussians  # late: torch takes seconds to import

    handle = artefacts.splat
    if distilled := artefacts.distilled:
        handle = artefacts.control if distilled.attributes["selected"] == "control" else distilled
    assert handle
    return read_gaussians(handle)
