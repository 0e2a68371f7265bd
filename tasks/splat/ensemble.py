"""Ensemble: further splats fitted independently to the scene's photos.

Regions that few photos constrain differ from fit to fit, by chance and by the initial Gaussians, so
that the mean of the members' renders has smaller errors than any one of them.

Source: Lakshminarayanan et al., Deep Ensembles, NeurIPS 2017, section 2.4; that two splats of few
photos err where they differ: Zhang et al., CoR-GS, ECCV 2024.
"""

from pydantic import Field

from tasks.config import Config
from tasks.depth.config import DenseConfig
from tasks.splat.config import Points, SplatConfig


class EnsembleConfig(Config):
    """Members fitted beside the scene's own splat, for the sake of refined views."""

    count: int = Field(
        default=3,
        ge=0,
        le=16,
        description="Number of members beside the scene's own splat; a refined view is the mean of "
        "the refined renders of all. Each takes about as long as the first.",
    )
    max_training_photos: int = Field(
        default=6,
        ge=0,
        description="Largest number of training photos with an ensemble: more of them constrain "
        "the scene better, and the mean of an ensemble may then be worse than the splat.",
    )


def ensemble_of(
    splat: SplatConfig, config: EnsembleConfig, training_photos: int
) -> tuple[SplatConfig, ...]:
    """Config of each member's fit; none for more training photos than the config allows.

    The first member starts from triangulated points alone where the splat starts from depth maps
    too: the errors of the two initialisations differ.
    """
    if training_photos > config.max_training_photos:
        return ()
    return tuple(_member(splat, number) for number in range(1, config.count + 1))


def _member(splat: SplatConfig, number: int) -> SplatConfig:
    sparse = number == 1 and isinstance(splat.init, DenseConfig)
    init = Points() if sparse else splat.init
    return splat.model_copy(update={"seed": splat.seed + number, "init": init})
