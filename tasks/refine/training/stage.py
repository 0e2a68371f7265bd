"""What the stages that train refiners share: stored pairs, a checkpoint, the refiner kept."""

from collections.abc import Callable

from storage.handles import ArrayHandle
from tasks.caching import running_stage_key, stage_progress
from tasks.refine.pairs.artefact import StoredPairs, digest_of
from tasks.refine.training.artefact import arrays_of, attributes_of
from tasks.refine.training.learnt import CurvePoint, Learnt, ValidationScore
from tasks.refine.training.loop import N, Recipe, Trained, TrainingState, train_network
from tasks.site import Site
from tasks.splat.checkpoints import checkpoints_of
from tasks.threads import limit_threads, torch_threads


def trained_refiner(
    scene: str,
    training: tuple[ArrayHandle, ...],
    validation: tuple[ArrayHandle, ...],
    recipe: Recipe[N],
    content_of: Callable[[N, str], bytes],
    site: Site,
) -> ArrayHandle:
    """Train on stored pairs, going on where a stage of the same key was cut off, and keep it.

    Args:
        scene: what the refiner is kept under.
        content_of: the file of a network and the digest of its data.
    """
    limit_threads(site.threads)
    with (
        torch_threads(site.threads),
        checkpoints_of(site, running_stage_key(), TrainingState) as checkpoints,
    ):
        trained = train_network(
            recipe,
            StoredPairs(training),
            StoredPairs(validation),
            device=site.device,
            progress=stage_progress("train"),
            checkpoints=checkpoints,
        )
        learnt = learnt_of(trained, content_of(trained.network, digest_of(training)))
        return site.store.commit(scene, "refiner", arrays_of(learnt), attributes_of(learnt))


def learnt_of(trained: Trained[N], content: bytes) -> Learnt:
    """What is kept of a training.

    Args:
        content: of the file with its network.
    """
    curve = trained.curve
    return Learnt(
        content=content,
        curve=tuple(
            CurvePoint(step=step, loss=loss)
            for step, loss in zip(curve.step.tolist(), curve.loss.tolist(), strict=True)
        ),
        scores=tuple(
            ValidationScore(
                step=validation.step,
                scene=gains.scene,
                views=gains.views,
                gain_db=gains.over_render_db,
                share_worse=gains.share_worse,
            )
            for validation in trained.validations
            for gains in (validation.total, *validation.scenes)
        ),
    )
