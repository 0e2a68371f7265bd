"""The options that ``--help`` shows of a config; ``--help-all`` shows every one."""

from collections.abc import Sequence

from tasks.config import Config

HELP = ("-h", "--help")
HELP_ALL = "--help-all"

COMMON = (
    "protocol",
    "stages.until",
    "sfm.mapper",
    "split.kind",
    "split.n",
    "splat.iterations",
    "splat.max_size",
    "ensemble.count",
    "refine.refiner.kind",
    "distil.iterations",
    "evaluate.perceptual",
    "train.kind",
    "pairs.max_photos",
)
"""Of scenes and of refiners."""


def shown_options(base: Config, words: Sequence[str]) -> frozenset[tuple[type[Config], str]] | None:
    """Class and name of each field that help for these words shows; None where it shows all."""
    if not set(HELP) & set(words) or HELP_ALL in words:
        return None
    found = set()
    for path in COMMON:
        *parents, field = path.split(".")
        model: object = base
        for parent in parents:
            model = getattr(model, parent, None)
        if isinstance(model, Config) and field in type(model).model_fields:
            found.add((type(model), field))
    return frozenset(found)
