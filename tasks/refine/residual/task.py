from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import running_stage_key, stage_cache, stage_progress
from tasks.refine.residual.config import TrainResidual
from tasks.site import Site


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
    """See :func:`tasks.refine.residual.train.train`.

    Args:
        scene: what the refiner is kept under, where others are kept under a scene's name.
        training: pairs of the scenes to learn from.
        validation: pairs of other scenes.
    """
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.refine.pairs.artefact import StoredPairs, digest_of
    from tasks.refine.residual.checkpoint import checkpoint_of
    from tasks.refine.residual.learnt import learnt_of
    from tasks.refine.residual.train import TrainingState, train
    from tasks.refine.training.artefact import arrays_of, attributes_of
    from tasks.splat.checkpoints import checkpoints_of
    from tasks.threads import limit_threads, torch_threads

    limit_threads(site.threads)
    with (
        torch_threads(site.threads),
        checkpoints_of(site, running_stage_key(), TrainingState) as checkpoints,
    ):
        trained = train(
            StoredPairs(training),
            StoredPairs(validation),
            config,
            device=site.device,
            progress=stage_progress("train"),
            checkpoints=checkpoints,
        )
        content = checkpoint_of(trained.network, data=digest_of(training))
        learnt = learnt_of(trained, content)
        return site.store.commit(scene, "refiner", arrays_of(learnt), attributes_of(learnt))
