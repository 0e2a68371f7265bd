"""One scene in this process."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from flows.config import SceneConfig
from flows.runs import RunRecord, new_run_name, save_run
from flows.scene import reconstruct_scene
from flows.settings import Settings
from storage.arrays import remove_abandoned_staging


def run_scene(folder: Path, scene: str, config: SceneConfig) -> str:
    """Run one scene; the name of its run.

    Raises:
        UnseenError: why it has no result.
    """
    store = Settings().open_store()
    remove_abandoned_staging(store)
    run = new_run_name(Path(scene))
    save_run(
        store,
        RunRecord(
            run=run,
            dataset=str(folder.parent),
            only=(scene,),
            scenes=(scene,),
            config=config.model_dump(mode="json"),
            created_at=datetime.now(UTC).isoformat(),
        ),
    )
    print(f"run {run}", file=sys.stderr)
    reconstruct_scene(folder=str(folder), scene=scene, run=run, config=config)
    return run
