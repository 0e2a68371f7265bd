"""A run taken up again: what failed, died or is missing, or what is to be computed anew."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.config import SceneConfig, Stage
from flows.dispatch import run_scenes
from flows.orchestration.flow_run import end_with_worker
from flows.orchestration.locks import lock
from flows.orchestration.log_filters import log_errors_in_a_sentence
from flows.orchestration.tagging import tag_flow_run
from flows.runs.manifest import SceneEntry, find_scenes
from flows.runs.record import (
    RunRecord,
    dataset_tag,
    load_run,
    lock_of,
    refusal_of,
    save_run,
    scenes_to_resume,
)
from flows.settings import Settings
from storage.store import Store, remove_abandoned_staging
from tasks.config import overridden


@flow(name="resume", flow_run_name="resume {run}", persist_result=False)
async def resume_dataset(
    run: str,
    scenes: tuple[str, ...] = (),
    stage: Stage | None = None,
    deployment: str = "scene/cpu",
    queue: str | None = None,
) -> State[Any]:
    """Run scenes of a run again, each from its last finished stage.

    Args:
        run: its name, as 'unseen status' and the store's tables have it.
        scenes: names of those to run, completed ones too; where empty, all that have not completed.
        stage: computed anew, with what follows, though it had finished.
        deployment: of the scene flow; its pool decides where scenes run.
        queue: of the pool, where a worker of its own serves this run.
    """
    log_errors_in_a_sentence()
    with end_with_worker(), lock(lock_of(run), refused=refusal_of(run)):
        store = Settings().open_store()
        store.check_writable()
        remove_abandoned_staging(store)
        return await resumed(
            store, run, scenes=scenes, stage=stage, deployment=deployment, queue=queue
        )


async def resumed(
    store: Store,
    run: str,
    *,
    scenes: Collection[str] = (),
    stage: Stage | None = None,
    deployment: str,
    queue: str | None,
) -> State[Any]:
    """See :func:`resume_dataset`; scenes that the dataset has got since are taken along.

    Raises:
        InputError: there is no such run, or it has no such scene.
    """
    record = load_run(store, run)
    tag_flow_run(dataset_tag(Path(record.dataset)))
    entries = _entries(record)
    record = replace(record, scenes=tuple(entry.name for entry in entries))
    chosen = scenes_to_resume(store, record, scenes)
    save_run(store, record)
    return await run_scenes(
        store,
        record,
        [entry for entry in entries if entry.name in chosen],
        deployment=deployment,
        queue=queue,
        recompute_from=stage,
    )


def _entries(record: RunRecord) -> tuple[SceneEntry, ...]:
    config = overridden(SceneConfig(), record.config, where=f"the config of run '{record.run}'")
    if record.folder is not None:
        return (SceneEntry(name=record.scenes[0], folder=record.folder, config=config),)
    return find_scenes(Path(record.dataset), config, record.only, roots=Settings().roots())
