from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache
from tasks.refine.diffusion.training_config import TrainControlNet
from tasks.runtime.context import Site


@task(
    name="train",
    task_run_name="train/{scene}",
    **stage_cache("train.controlnet", version=1, numbers_depend_on_device=True),
)
def train_controlnet(
    scene: str,
    *,
    training: tuple[ArrayHandle, ...],
    validation: tuple[ArrayHandle, ...],
    config: TrainControlNet,
    site: Site,
) -> ArrayHandle:
    """See :func:`tasks.refine.training.loop.train_network`.

    Args:
        scene: what the refiner is kept under, where others are kept under a scene's name.
        training: pairs of the scenes to learn from.
        validation: pairs of other scenes.
    """
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.refine.diffusion.train import small_recipe, trained_checkpoint
    from tasks.refine.training.stage import trained_refiner

    return trained_refiner(
        scene, training, validation, small_recipe(config), trained_checkpoint, site
    )
