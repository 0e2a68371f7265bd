"""Runs of a dataset: started by hand or on a schedule, and resumed."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.config import SceneConfig, StageName
from flows.dispatch import run_scenes
from flows.orchestration.flow_run import end_with_worker, is_retry, tag_flow_run
from flows.orchestration.locks import lock
from flows.orchestration.log_filters import log_errors_in_a_sentence
from flows.runs.manifest import SceneEntry, find_scenes
from flows.runs.passed_over import passed_over
from flows.runs.record import (
    RunRecord,
    dataset_tag,
    is_known,
    load_run,
    lock_of,
    new_run_name,
    refusal_of,
    save_run,
    scenes_to_resume,
)
from flows.settings import Settings
from storage.schema import prepare_store
from storage.store import Store, remove_abandoned_staging
from tasks.config import overridden
from tasks.errors import InputError


def _run_name() -> str:
    """The run's name, which is the flow run's: a retry keeps it, a scheduled run gets a new one."""
    parameters = flow_run.parameters
    if run := parameters.get("run"):
        return str(run)
    return str(flow_run.name) if is_retry() else new_run_name(Path(parameters["dataset"]))


@flow(name="dataset", flow_run_name=_run_name, persist_result=False)
async def reconstruct_dataset(
    dataset: str,
    run: str | None = None,
    only: tuple[str, ...] = (),
    config: SceneConfig = SceneConfig(),
    deployment: str = "scene/cpu",
    queue: str | None = None,
) -> State[Any]:
    """Run the scenes of a dataset, each in its own process on the deployment's work pool.

    A retry in Prefect's UI resumes the run.

    Args:
        dataset: folder of scene folders, or manifest, at its path on the workers.
        run: name of the run in the tables; default: dataset and time.
        only: names of the scenes to run; default: all.
        config: everything that changes results.
        deployment: of the scene flow; its work pool determines where scenes run.
        queue: of the work pool, for a run with workers of its own.
    """
    log_errors_in_a_sentence()
    run = run or str(flow_run.name)
    tag_flow_run(dataset_tag(Path(dataset)))
    with end_with_worker(), lock(lock_of(run), refused=refusal_of(run)):
        settings = Settings()
        store = _prepared_store(settings)
        if is_retry() and is_known(store, run):
            return await _resume(store, run, deployment=deployment, queue=queue)
        entries = find_scenes(Path(dataset), config, only, roots=settings.roots())
        if no_scenes := passed_over(Path(dataset)):
            get_run_logger().info(no_scenes)
        record = RunRecord(
            run=run,
            dataset=str(Path(dataset).absolute()),
            only=only,
            scenes=tuple(entry.name for entry in entries),
            config=config.model_dump(mode="json"),
            created_at=datetime.now(UTC).isoformat(),
        )
        save_run(store, record)
        return await run_scenes(store, record, entries, deployment=deployment, queue=queue)


@flow(name="resume", flow_run_name="resume {run}", persist_result=False)
async def resume_dataset(
    run: str,
    scenes: tuple[str, ...] = (),
    stage: StageName | None = None,
    deployment: str = "scene/cpu",
    queue: str | None = None,
) -> State[Any]:
    """Rerun scenes of a run, each from its last finished stage.

    Args:
        run: its name in 'unseen status' and in the tables.
        scenes: names of the scenes to rerun, completed ones included; default: all that have not
            completed.
        stage: first stage to recompute, with all later ones, although cached.
        deployment: of the scene flow; its work pool determines where scenes run.
        queue: of the work pool, for a run with workers of its own.
    """
    log_errors_in_a_sentence()
    with end_with_worker(), lock(lock_of(run), refused=refusal_of(run)):
        store = _prepared_store(Settings())
        return await _resume(
            store, run, scenes=scenes, stage=stage, deployment=deployment, queue=queue
        )


async def _resume(
    store: Store,
    run: str,
    *,
    scenes: Collection[str] = (),
    stage: StageName | None = None,
    deployment: str,
    queue: str | None,
) -> State[Any]:
    """See :func:`resume_dataset`; scenes added to the dataset since then are included.

    Raises:
        InputError: there is no such run, or it has no such scene.
    """
    record = load_run(store, run)
    tag_flow_run(dataset_tag(Path(record.dataset)))
    entries = _with_vanished(record, _entries(record))
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


def _with_vanished(record: RunRecord, entries: tuple[SceneEntry, ...]) -> tuple[SceneEntry, ...]:
    """The entries, and one with an error for each scene of the run that the dataset has no more."""
    gone = [name for name in record.scenes if name not in {entry.name for entry in entries}]
    return (
        *entries,
        *(
            SceneEntry(
                name=name,
                folder="",
                config=SceneConfig(),
                error=InputError(
                    f"the scene '{name}' is no longer in {record.dataset}, so it cannot be run; "
                    "put it back, or start a new run without it"
                ),
            )
            for name in gone
        ),
    )


def _prepared_store(settings: Settings) -> Store:
    store = settings.open_store()
    prepare_store(store)
    remove_abandoned_staging(store)
    return store


def _entries(record: RunRecord) -> tuple[SceneEntry, ...]:
    config = overridden(SceneConfig(), record.config, where=f"the config of run '{record.run}'")
    if record.folder is not None:
        return (SceneEntry(name=record.scenes[0], folder=record.folder, config=config),)
    return find_scenes(Path(record.dataset), config, record.only, roots=Settings().roots())
