"""The train stage of the residual refiner."""

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.refine.residual.checkpoint import checkpoint_of
from tasks.refine.residual.config import TrainResidual
from tasks.refine.residual.train import residual_recipe
from tasks.refine.training.stage import train_refiner
from tasks.runtime.context import Context


def run(
    out: Writer,
    context: Context,
    *,
    training: tuple[ArrayHandle, ...],
    validation: tuple[ArrayHandle, ...],
    config: TrainResidual,
) -> ArrayHandle:
    """Train and store a refiner; see :func:`tasks.refine.training.loop.train_network`.

    Args:
        training: pairs of the scenes that are learned from.
        validation: pairs of other scenes.
    """
    return train_refiner(out, context, training, validation, residual_recipe(config), checkpoint_of)
