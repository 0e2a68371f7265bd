"""The artefacts that a run's scenes have in the store."""

from collections.abc import Mapping

from flows.runs.record import RunRecord, load_run
from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tasks.errors import InputError

KINDS = {
    "ingest": "photos",
    "sfm": "sparse",
    "splat": "splat",
    "ensemble": "ensemble",
    "views": "views",
    "refine": "refined",
    "control": "control",
    "distil": "distilled",
    "evaluate": "evaluation",
}
"""Of each stage's artefact."""


def artefacts_of(store: Store, record: RunRecord) -> Mapping[str, Mapping[str, ArrayHandle]]:
    """The artefacts of a run by scene, and then by stage."""
    stages = read_table(store, "stages", run=record.run)
    found: dict[str, dict[str, ArrayHandle]] = {scene: {} for scene in record.scenes}
    for row in stages[stages["digest"].notna()].to_dict("records"):
        if row["scene"] in found:
            found[row["scene"]][row["stage"]] = ArrayHandle(
                uri=row["uri"], kind=KINDS[row["stage"]], digest=row["digest"]
            )
    return found


def artefacts_with(
    store: Store, run: str | None, scenes: tuple[str, ...], stage: str
) -> Mapping[str, Mapping[str, ArrayHandle]]:
    """Those of some scenes, or of all that finished a stage.

    Raises:
        InputError: there is no such run; a scene is not in it or has not finished the stage;
            none has.
    """
    record = load_run(store, run)
    found, name = artefacts_of(store, record), record.run
    for scene in scenes:
        if scene not in found:
            known = ", ".join(sorted(found))
            raise InputError(f"run '{name}' has no scene '{scene}'; it has: {known}")
        if stage not in found[scene]:
            raise InputError(
                f"the scene '{scene}' of run '{name}' has not finished the stage {stage}; "
                "see 'unseen status' for why, and 'unseen resume'"
            )
    chosen = {scene: found[scene] for scene in (scenes or sorted(found)) if stage in found[scene]}
    if not chosen:
        raise InputError(
            f"no scene of run '{name}' has finished the stage {stage}; see 'unseen status' for why"
        )
    return chosen
