"""Many scenes: a run of a dataset, by a person, by a schedule, or taken up again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.config import SceneConfig
from flows.dispatch import run_scenes
from flows.orchestration.flow_run import end_with_worker, is_retry
from flows.orchestration.locks import lock
from flows.orchestration.log_filters import log_errors_in_a_sentence
from flows.orchestration.tagging import tag_flow_run
from flows.resume import resumed
from flows.runs.manifest import find_scenes
from flows.runs.record import (
    RunRecord,
    dataset_tag,
    is_known,
    lock_of,
    new_run_name,
    refusal_of,
    save_run,
)
from flows.settings import Settings
from storage.store import remove_abandoned_staging


def _name_of_run() -> str:
    """The run's name, which is the flow run's: of a retry what it was, of a scheduled run new."""
    asked = flow_run.parameters
    if run := asked.get("run"):
        return str(run)
    return str(flow_run.name) if is_retry() else new_run_name(Path(asked["dataset"]))


@flow(name="dataset", flow_run_name=_name_of_run, persist_result=False)
async def reconstruct_dataset(
    dataset: str,
    run: str | None = None,
    only: tuple[str, ...] = (),
    config: SceneConfig = SceneConfig(),
    deployment: str = "scene/cpu",
    queue: str | None = None,
) -> State[Any]:
    """Run the scenes of a dataset, each in its own process on the deployment's work pool.

    Retried in Prefect's UI, the flow run resumes its run.

    Args:
        dataset: a folder of scene folders or a manifest, as the workers see it.
        run: the name its rows are kept under; made from the dataset and the time where absent.
        only: names of the scenes to take; all where empty.
        config: everything that changes results.
        deployment: of the scene flow; its pool decides where scenes run.
        queue: of the pool, where a worker of its own serves this run.
    """
    log_errors_in_a_sentence()
    run = run or str(flow_run.name)
    tag_flow_run(dataset_tag(Path(dataset)))
    with end_with_worker(), lock(lock_of(run), refused=refusal_of(run)):
        settings = Settings()
        store = settings.open_store()
        store.check_writable()
        remove_abandoned_staging(store)
        if is_retry() and is_known(store, run):
            return await resumed(store, run, deployment=deployment, queue=queue)
        entries = find_scenes(Path(dataset), config, only, roots=settings.roots())
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
