"""Split of the photos into training, validation and held-out ones."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tasks.config import check_names
from tasks.errors import InputError
from tasks.splat.config import EveryNth, TrainOn


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices into the photos with known poses; each photo is on one side."""

    training: tuple[int, ...]
    validation: tuple[int, ...]
    held_out: tuple[int, ...]


def check_photos(config: EveryNth | TrainOn, photos: Collection[str]) -> None:
    """Refuse names of training photos that no photo of the scene has.

    Args:
        photos: names of all photos, those without a pose included.

    Raises:
        InputError: there is no such photo.
    """
    if isinstance(config, TrainOn):
        check_names(config.photos, photos, where="'split' is wrong: the scene", kind="photo")


def split_photos(names: Sequence[str], config: EveryNth | TrainOn) -> Split:
    """Split photos, given in the order of their names.

    Raises:
        InputError: fewer than two photos remain to fit to.
    """
    if isinstance(config, TrainOn):
        wanted = set(config.photos)
        chosen = tuple(i for i, name in enumerate(names) if name in wanted)
        said = f"{len(chosen)} of the {len(wanted)} photos named to train on have a pose"
    else:
        # Two photos are both needed: then none is held out, and nothing is scored.
        held = range(config.offset, len(names), config.n) if len(names) > 2 else range(0)
        chosen = tuple(i for i in range(len(names)) if i not in held)
        said = f"of {len(names)} photos with poses, {len(chosen)} are left to train on"
    count = _validation_count(len(chosen)) if config.validation is None else config.validation
    if count:
        said += f" and {count} of them are kept for validation"
    if len(chosen) - count < 2:
        raise InputError(f"{said}, and a splat needs at least 2; add photos or change the split")
    validation = tuple(chosen[place] for place in _spread(count, len(chosen)))
    return Split(
        training=tuple(i for i in chosen if i not in validation),
        validation=validation,
        held_out=tuple(sorted(set(range(len(names))).difference(chosen))),
    )


def named_split(names: Sequence[str], config: EveryNth | TrainOn) -> TrainOn:
    """The split of all of a scene's photos by name, whether or not they get a pose.

    Args:
        names: of the photos, in the order of their names.

    Raises:
        InputError: fewer than two photos remain to fit to.
    """
    found = split_photos(names, config)
    chosen = sorted((*found.training, *found.validation))
    return TrainOn(photos=tuple(names[i] for i in chosen), validation=config.validation)


def _validation_count(photos: int) -> int:
    """Default number of validation photos; where photos are few, the fit needs each of them."""
    return 0 if photos < 8 else 1 if photos < 24 else 2


def _spread(count: int, length: int) -> tuple[int, ...]:
    """``count`` different places among ``length``, evenly spread; never the first or the last."""
    return tuple(1 + (2 * i + 1) * (length - 2) // (2 * count) for i in range(count))
