"""Scenes of a refiner's training, and their split into training and validation."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from flows.config import RefinerConfig, SceneConfig, ValidationConfig
from flows.runs.manifest import SceneEntry, find_scenes
from flows.runs.record import REFINER
from tasks.config import check_names
from tasks.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSplit:
    """Names of scenes, each in one part, in the order of the input."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def scenes_of(
    datasets: Sequence[str], config: RefinerConfig, roots: Sequence[Path]
) -> tuple[SceneEntry, ...]:
    """The scenes of all datasets; invalid ones carry their error.

    Raises:
        InputError: no dataset is given, one cannot be read, two scenes have one name, a scene has
            the reserved name of the training, or a scene named in the config does not exist.
    """
    if not datasets:
        raise InputError(
            "no dataset is given, so there is nothing to train on; name folders of scene folders"
        )
    base = SceneConfig(ingest=config.ingest, sfm=config.sfm)
    entries: dict[str, SceneEntry] = {}
    for dataset in datasets:
        for entry in find_scenes(Path(dataset), base, roots=roots):
            if entry.name == REFINER:
                raise InputError(
                    f"a scene is named '{REFINER}' ({entry.folder}), which is reserved for the "
                    "training's own rows; give it another name in a manifest"
                )
            if entry.name in entries:
                raise InputError(
                    f"two scenes are named '{entry.name}' ({entries[entry.name].folder} and "
                    f"{entry.folder}), so their pairs would be mixed up; give one another name "
                    "in a manifest"
                )
            entries[entry.name] = entry
    for option, named in (
        ("validation.scenes", config.validation.scenes),
        ("subsets", tuple(config.subsets)),
    ):
        check_names(named, entries, where=f"'{option}' is wrong: the training", kind="scene")
    return tuple(entries.values())


def split_scenes(names: Sequence[str], config: ValidationConfig) -> SceneSplit:
    """Split scenes by a hash of their names, so that few change sides when scenes are added.

    Raises:
        InputError: no scene is left for training.
    """
    chosen = frozenset(config.scenes) if config.scenes else _drawn(names, config)
    split = SceneSplit(
        training=tuple(name for name in names if name not in chosen),
        validation=tuple(name for name in names if name in chosen),
    )
    if not split.training:
        raise InputError(
            f"all {len(names)} scenes that gave pairs are withheld for validation, so there is "
            "nothing to train on; add scenes, or lower 'validation.share' or shorten "
            "'validation.scenes'"
        )
    return split


def _drawn(names: Sequence[str], config: ValidationConfig) -> Collection[str]:
    count = max(1, round(config.share * len(names))) if config.share else 0
    order = sorted(names, key=lambda name: sha256(f"{config.seed} {name}".encode()).digest())
    return frozenset(order[:count])
