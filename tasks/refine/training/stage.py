"""What the stages that train refiners share: stored pairs, a checkpoint, the refiner kept."""

from collections.abc import Callable

from storage.handles import ArrayHandle
from tasks.caching import running_stage_key, stage_progress
from tasks.refine.training.artefact import arrays_of, attributes_of
from tasks.refine.training.loop import N, Recipe, train_network
from tasks.refine.training.pairs.artefact import StoredPairs, digest_of
from tasks.refine.training.trained import TrainedRefiner
from tasks.runtime.checkpoints import checkpoints_in
from tasks.runtime.context import Site
from tasks.runtime.threads import limit_threads, torch_threads


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
        checkpoints_in(site.store, running_stage_key(), site.checkpoint_seconds) as checkpoints,
    ):
        trained = train_network(
            recipe,
            StoredPairs(training),
            StoredPairs(validation),
            device=site.device,
            progress=stage_progress("train"),
            checkpoints=checkpoints,
        )
        learnt = TrainedRefiner(
            content=content_of(trained.network, digest_of(training)),
            curve=trained.curve,
            scores=trained.scores,
        )
        return site.store.commit(scene, "refiner", arrays_of(learnt), attributes_of(learnt))
