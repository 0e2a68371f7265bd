"""Splats of the same photos, each fitted by itself: which there are beside the scene's own.

What few photos leave open, each fit settles by chance and by what it starts from. Such errors
differ from fit to fit, so that the mean of their pictures has less of them than any one of these.

Source: Lakshminarayanan et al., Deep Ensembles, NeurIPS 2017, section 2.4; that two splats of few
photos err where they differ: Zhang et al., CoR-GS, ECCV 2024.
"""

from pydantic import Field

from tasks.config import Config
from tasks.depth.config import DenseConfig
from tasks.splat.config import Points, SplatConfig


class EnsembleConfig(Config):
    """Which splats are fitted beside the scene's own, for the sake of refined views."""

    count: int = Field(
        default=3,
        ge=0,
        le=16,
        description="Splats fitted to the same photos beside the scene's own; a refined view is "
        "the mean of repairs of what each of them shows. Each takes about as long as the first.",
    )
    max_training_photos: int = Field(
        default=6,
        ge=0,
        description="None is fitted where there are more training photos than so many: these leave "
        "less open, and siblings may then be worse than the splat.",
    )


def ensemble_of(
    splat: SplatConfig, config: EnsembleConfig, training_photos: int
) -> tuple[SplatConfig, ...]:
    """How each sibling of a splat is fitted.

    The first starts from triangulated points alone where the splat starts from swept depths, too:
    the two ways err differently.
    """
    if training_photos > config.max_training_photos:
        return ()
    return tuple(_member(splat, number) for number in range(1, config.count + 1))


def _member(splat: SplatConfig, number: int) -> SplatConfig:
    sparse = number == 1 and isinstance(splat.init, DenseConfig)
    init = Points() if sparse else splat.init
    return splat.model_copy(update={"seed": splat.seed + number, "init": init})
