"""Training of the residual network."""

from torch import Tensor

from tasks.refine.residual.config import TrainResidual
from tasks.refine.residual.loss import training_loss
from tasks.refine.residual.network import ResidualNetwork
from tasks.refine.residual.refine import refine
from tasks.refine.training.crops import Batch
from tasks.refine.training.loop import Recipe


def residual_recipe(config: TrainResidual) -> Recipe[ResidualNetwork]:
    """Recipe of :func:`tasks.refine.training.loop.train_network` for a residual network."""

    def loss(network: ResidualNetwork, batch: Batch, step: int) -> Tensor:
        return training_loss(
            network(batch.features),
            batch.features.pictures[:, 0],
            batch.truth,
            detail_weight=config.detail_weight,
            error_weight=config.error_weight,
        )

    return Recipe(
        config=config, make=lambda: ResidualNetwork(config.network), loss=loss, refine=refine
    )
