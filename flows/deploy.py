"""The pools and deployments that workers pull from, as code: the laptop's and the site's alike."""

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists
from prefect.types.entrypoint import EntrypointType

from flows.dataset import reconstruct_dataset
from flows.scene import reconstruct_scene

POOLS = {
    "datasets": "The waiting parents, apart from their scenes so that they never starve them.",
    "cpu": "Scenes on machines without a GPU.",
    "gpu": "Scenes on GPUs: a worker each, with its own CUDA_VISIBLE_DEVICES and limit 1.",
}


def deploy() -> None:
    """Create what is missing of pools and deployments, and bring the rest up to date."""
    with get_client(sync_client=True) as client:
        for name, description in POOLS.items():
            try:
                pool = WorkPoolCreate(name=name, type="process", description=description)
                client.create_work_pool(pool)
            except ObjectAlreadyExists:
                continue
    for name in ("cpu", "gpu"):
        # Module entrypoints: a path would load the flow's classes a second time under other names.
        RunnerDeployment.from_flow(
            reconstruct_scene,
            name=name,
            work_pool_name=name,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ).apply()
    RunnerDeployment.from_flow(
        reconstruct_dataset,
        name="datasets",
        work_pool_name="datasets",
        entrypoint_type=EntrypointType.MODULE_PATH,
    ).apply()
