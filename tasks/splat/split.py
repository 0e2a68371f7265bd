"""Which photos a splat is fitted to, and which only judge it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.errors import InputError
from tasks.splat.config import EveryNth, TrainOn


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices into the photos with known poses."""

    training: tuple[int, ...]
    held_out: tuple[int, ...]


def split_photos(names: Sequence[str], config: EveryNth | TrainOn) -> Split:
    """Split photos, given in the order of their names.

    Raises:
        InputError: fewer than two photos remain to fit to.
    """
    if isinstance(config, TrainOn):
        wanted = set(config.photos)
        training = tuple(i for i, name in enumerate(names) if name in wanted)
        chosen = f"{len(training)} of the {len(wanted)} photos named to train on have a pose"
    else:
        held = range(config.offset, len(names), config.n)
        training = tuple(i for i in range(len(names)) if i not in held)
        chosen = f"of {len(names)} photos with poses, {len(training)} are left to train on"
    if len(training) < 2:
        raise InputError(f"{chosen}, and a splat needs at least 2; add photos or change the split")
    held_out = sorted(set(range(len(names))).difference(training))
    return Split(training=training, held_out=tuple(held_out))
