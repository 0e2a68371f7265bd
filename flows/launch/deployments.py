"""Work pools and deployments as code, for one machine and for a site."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists
from prefect.schedules import Schedule
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows.config import SceneConfig
from flows.dataset import reconstruct_dataset, resume_dataset
from flows.runs.record import dataset_tag, name_of
from flows.scene import reconstruct_scene
from tasks.errors import InputError

POOLS = {
    "datasets": "Dataset runs; they only wait, and apart they take no slot from their scenes.",
    "cpu": "Scenes on machines without a GPU.",
    "gpu": "Scenes on GPUs: one worker per GPU, with its own CUDA_VISIBLE_DEVICES and limit 1.",
}
NAME_CHARACTERS = str.maketrans("/%&<>", "-----")
"""Characters that Prefect rejects in a name, and their substitutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A dataset with a schedule."""

    dataset: Path
    config: SceneConfig
    cron: str
    timezone: str

    @property
    def deployment(self) -> str:
        return f"scheduled {name_of(self.dataset)}".translate(NAME_CHARACTERS)

    def schedule(self) -> Schedule:
        """The schedule for Prefect.

        Raises:
            InputError: not five cron fields, or an unknown time zone.
        """
        try:
            CronSchedule(cron=self.cron, timezone=self.timezone)
        except ValidationError as error:
            (fault, *_) = error.errors()
            raise InputError(
                f"the schedule '{self.cron}' in the time zone '{self.timezone}' is invalid "
                f"({fault['msg']}); write minute, hour, day, month and weekday, such as "
                "'0 2 * * *', and a zone such as Europe/Zurich"
            ) from error
        return Schedule(cron=self.cron, timezone=self.timezone)


def deploy(pool: str) -> None:
    """Create or update the work pools and deployments.

    Args:
        pool: default pool of scenes, ``cpu`` or ``gpu``.
    """
    with get_client(sync_client=True) as client:
        for name, description in POOLS.items():
            try:
                made = WorkPoolCreate(name=name, type="process", description=description)
                client.create_work_pool(made)
            except ObjectAlreadyExists:
                continue
    for name in ("cpu", "gpu"):
        _apply(reconstruct_scene, name, pool=name)
    by_default = {"deployment": f"scene/{pool}"}
    _apply(reconstruct_dataset, "datasets", pool="datasets", parameters=by_default)
    _apply(resume_dataset, "datasets", pool="datasets", parameters=by_default)


def deploy_schedules(scheduled: tuple[Scheduled, ...], pool: str) -> None:
    """Schedule these datasets, and no others of this machine.

    A run that is due while the previous one of its dataset is active is skipped. Of the runs missed
    while no server ran, one is made up for.

    Raises:
        InputError: a schedule is invalid.
    """
    ours = f"served-by:{socket.gethostname()}"
    with get_client(sync_client=True) as client:
        by_tag = DeploymentFilter(tags=DeploymentFilterTags(all_=[ours]))
        names = {one.deployment for one in scheduled}
        for old in client.read_deployments(deployment_filter=by_tag):
            if old.name not in names:
                client.delete_deployment(old.id)
    for one in scheduled:
        _apply(
            reconstruct_dataset,
            one.deployment,
            pool="datasets",
            parameters={
                "dataset": str(one.dataset.absolute()),
                "config": one.config.model_dump(mode="json"),
                "deployment": f"scene/{pool}",
            },
            tags=[ours, dataset_tag(one.dataset)],
            schedules=[one.schedule()],
            concurrency_limit=ConcurrencyLimitConfig(
                limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
            ),
        )


def _apply(
    flow: Flow[..., Any],
    name: str,
    *,
    pool: str,
    parameters: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    # Module entrypoints: a path would load the flow's classes a second time under other names.
    RunnerDeployment.from_flow(
        flow,
        name=name,
        work_pool_name=pool,
        parameters=dict(parameters or {}),
        entrypoint_type=EntrypointType.MODULE_PATH,
        **options,
    ).apply()
