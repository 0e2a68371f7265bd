"""What the stages that train refiners share."""

from collections.abc import Callable

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.refine.training.artefact import arrays_of, attributes_of
from tasks.refine.training.loop import N, Recipe, train_network
from tasks.refine.training.pairs.artefact import StoredPairs, digest_of
from tasks.refine.training.trained import TrainedRefiner
from tasks.runtime.context import Context
from tasks.runtime.threads import limit_threads, torch_threads


def train_refiner(
    out: Writer,
    context: Context,
    training: tuple[ArrayHandle, ...],
    validation: tuple[ArrayHandle, ...],
    recipe: Recipe[N],
    content_of: Callable[[N, str], bytes],
) -> ArrayHandle:
    """Train a network on stored pairs and store the refiner.

    Args:
        training: pairs of the scenes that are learned from.
        validation: pairs of other scenes.
        content_of: makes the weights file from the network and the digest of its training pairs.
    """
    limit_threads(context.threads)
    with torch_threads(context.threads):
        trained = train_network(
            recipe, StoredPairs(training), StoredPairs(validation), context=context
        )
    refiner = TrainedRefiner(
        content=content_of(trained.network, digest_of(training)),
        curve=trained.curve,
        scores=trained.scores,
    )
    out.add_all(arrays_of(refiner))
    return out.commit(attributes_of(refiner))
