"""The train stage of the small diffusion model."""

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.refine.diffusion.train import small_recipe, trained_checkpoint
from tasks.refine.diffusion.training_config import TrainControlNet
from tasks.refine.training.stage import train_refiner
from tasks.runtime.context import Context


def run(
    out: Writer,
    context: Context,
    *,
    training: tuple[ArrayHandle, ...],
    validation: tuple[ArrayHandle, ...],
    config: TrainControlNet,
) -> ArrayHandle:
    """Train and store a refiner; see :func:`tasks.refine.training.loop.train_network`.

    Args:
        training: pairs of the scenes that are learned from.
        validation: pairs of other scenes.
    """
    return train_refiner(
        out, context, training, validation, small_recipe(config), trained_checkpoint
    )
