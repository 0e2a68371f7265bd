"""The scenes of a training: which it learns from, and which tell how it does on others."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from flows.config import RefinerConfig, SceneConfig, ValidationConfig
from flows.runs.manifest import SceneEntry, find_scenes
from flows.runs.record import REFINER
from tasks.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSplit:
    """Names of scenes, each on one side; in the order in which they came."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def scenes_of(
    datasets: Sequence[str], config: RefinerConfig, roots: Sequence[Path]
) -> tuple[SceneEntry, ...]:
    """The scenes of all datasets, those that cannot be scenes with their error.

    Raises:
        InputError: none is given, one is no dataset, two have scenes of one name, one has the name
            that is the training's own, or a scene that the config names is in none.
    """
    if not datasets:
        raise InputError(
            "no dataset is given, so there is nothing to learn from; name folders of scene folders"
        )
    base = SceneConfig(ingest=config.ingest, sfm=config.sfm)
    entries: dict[str, SceneEntry] = {}
    for dataset in datasets:
        for entry in find_scenes(Path(dataset), base, roots=roots):
            if entry.name == REFINER:
                raise InputError(
                    f"a scene is named '{REFINER}' ({entry.folder}), under which the training's "
                    "own rows are kept; give it another name in a manifest"
                )
            if entry.name in entries:
                raise InputError(
                    f"two scenes are named '{entry.name}' ({entries[entry.name].folder} and "
                    f"{entry.folder}), so their pairs could not be told apart; give one another "
                    "name in a manifest"
                )
            entries[entry.name] = entry
    for option, named in (
        ("validation.scenes", config.validation.scenes),
        ("subsets", tuple(config.subsets)),
    ):
        if unknown := sorted(set(named) - set(entries)):
            raise InputError(
                f"'{option}' names {', '.join(map(repr, unknown))}, and the {len(entries)} "
                f"scenes are: {', '.join(sorted(entries))}; mend the name"
            )
    return tuple(entries.values())


def split_scenes(names: Sequence[str], config: ValidationConfig) -> SceneSplit:
    """Split scenes by name; one that is drawn stays drawn, but for few, where others join or leave.

    Raises:
        InputError: no scene is left to learn from.
    """
    chosen = frozenset(config.scenes) if config.scenes else _drawn(names, config)
    split = SceneSplit(
        training=tuple(name for name in names if name not in chosen),
        validation=tuple(name for name in names if name in chosen),
    )
    if not split.training:
        raise InputError(
            f"all {len(names)} scenes that gave pairs are kept for validation, so there is nothing "
            "to learn from; add scenes, or keep fewer with 'validation.share' or "
            "'validation.scenes'"
        )
    return split


def _drawn(names: Sequence[str], config: ValidationConfig) -> Collection[str]:
    count = max(1, round(config.share * len(names))) if config.share else 0
    order = sorted(names, key=lambda name: sha256(f"{config.seed} {name}".encode()).digest())
    return frozenset(order[:count])
