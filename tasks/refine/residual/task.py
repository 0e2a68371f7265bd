from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache
from tasks.refine.residual.config import TrainResidual
from tasks.runtime.context import Site


@task(
    name="train",
    task_run_name="train/{scene}",
    **stage_cache("train", version=1, numbers_depend_on_device=True),
)
def train_residual(
    scene: str,
    *,
    training: tuple[ArrayHandle, ...],
    validation: tuple[ArrayHandle, ...],
    config: TrainResidual,
    site: Site,
) -> ArrayHandle:
    """See :func:`tasks.refine.training.loop.train_network`.

    Args:
        scene: what the refiner is kept under, where others are kept under a scene's name.
        training: pairs of the scenes to learn from.
        validation: pairs of other scenes.
    """
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.refine.residual.checkpoint import checkpoint_of
    from tasks.refine.residual.train import residual_recipe
    from tasks.refine.training.stage import trained_refiner

    return trained_refiner(
        scene, training, validation, residual_recipe(config), checkpoint_of, site
    )
