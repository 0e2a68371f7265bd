"""One scene in this process, without a server, pools or workers."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from prefect import tags

from flows.config import SceneConfig, StageName
from flows.orchestration.locks import lock
from flows.orchestration.log_filters import hide_described_errors
from flows.runs.record import RunRecord, load_run, lock_of, refusal_of, save_run, tags_of
from flows.scene import reconstruct_scene
from flows.settings import Settings
from storage.store import remove_abandoned_staging


def run_scene(
    folder: Path,
    scene: str,
    config: SceneConfig,
    run: str | None = None,
    recompute_from: StageName | None = None,
) -> str:
    """Run one scene; the name of its run.

    Args:
        run: name of the run to resume; None for a new one.
        recompute_from: first stage whose cached result is ignored, with all later ones.

    Raises:
        UnseenError: the scene failed, or the run is active in another process.
    """
    store = Settings().open_store()
    remove_abandoned_staging(store)
    created_at = datetime.now(UTC)
    if run is None:
        run = f"{scene}-{created_at:%Y%m%d-%H%M%S}"
    else:
        created_at = datetime.fromisoformat(load_run(store, run).created_at)
    record = RunRecord(
        run=run,
        dataset=str(folder.parent),
        only=(scene,),
        scenes=(scene,),
        config=config.model_dump(mode="json"),
        created_at=created_at.isoformat(),
        folder=str(folder),
    )
    with lock(lock_of(run), refused=refusal_of(run)):
        save_run(store, record)
        print(f"run {run}", file=sys.stderr)
        hide_described_errors()
        with tags(*tags_of(record, scene)):
            reconstruct_scene(
                folder=str(folder),
                scene=scene,
                run=run,
                config=config,
                recompute_from=recompute_from,
            )
    return run
