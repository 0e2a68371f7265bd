"""Training of the residual network."""

from torch import Tensor

from tasks.refine.pairs.pair import Pairs
from tasks.refine.residual.config import TrainResidual
from tasks.refine.residual.loss import training_loss
from tasks.refine.residual.network import ResidualNetwork
from tasks.refine.residual.repair import repair
from tasks.refine.training.crops import Batch
from tasks.refine.training.loop import Recipe, Trained, TrainingState, train_network
from tasks.site import Device, Progress, no_progress
from tasks.splat.checkpoints import NO_CHECKPOINTS, Checkpoints


def train(
    pairs: Pairs,
    validation: Pairs,
    config: TrainResidual,
    *,
    device: Device = "cpu",
    progress: Progress = no_progress,
    checkpoints: Checkpoints[TrainingState] = NO_CHECKPOINTS,
) -> Trained[ResidualNetwork]:
    """Train a residual network; see :func:`tasks.refine.training.loop.train_network`."""

    def loss(network: ResidualNetwork, batch: Batch, step: int) -> Tensor:
        return training_loss(
            network(batch.features),
            batch.features.pictures[:, 0],
            batch.truth,
            detail_weight=config.detail_weight,
            error_weight=config.error_weight,
        )

    recipe = Recipe(make=lambda: ResidualNetwork(config.network), loss=loss, repair=repair)
    return train_network(
        recipe,
        pairs,
        validation,
        config,
        device=device,
        progress=progress,
        checkpoints=checkpoints,
    )
