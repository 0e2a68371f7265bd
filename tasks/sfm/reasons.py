"""Why photos have no pose, in words.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pycolmap

from tasks.sfm.ladder import Climbed
from tasks.sfm.verified import verified_pairs


def reasons(climbed: Climbed, images: Iterable[int]) -> dict[int, str]:
    """The reason of each image without a pose."""
    strictly = matched_images(climbed.databases.strict)
    weakly = matched_images(climbed.databases.verified)
    best = climbed.best
    found = {}
    for image in images:
        if best is not None and image in best.contradicted:
            found[image] = "its pose contradicts its matches with other photos"
        elif best is not None and image in best.images:
            found[image] = "no second match confirms its pose"
        elif others := _group(image, climbed.groups):
            found[image] = (
                f"belongs to a group of {others} photos that no sure match links to the others"
            )
        elif image in strictly:
            found[image] = f"matches {_photos(strictly[image])}, too little to place it"
        elif image in weakly:
            found[image] = f"matches {_photos(weakly[image])} weakly"
        else:
            found[image] = "matches no other photo"
    return found


def matched_images(database: Path) -> dict[int, set[int]]:
    """Of each image that has verified matches: the images that it has them with."""
    opened = pycolmap.Database.open(str(database))
    found: dict[int, set[int]] = {}
    for (one, other), _ in verified_pairs(opened):
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    opened.close()
    return found


def _group(image: int, groups: Sequence[Collection[int]]) -> int:
    """Photos in the largest other model that has the image; 0 = in none."""
    return max((len(group) for group in groups[1:] if image in group), default=0)


def _photos(others: Collection[int]) -> str:
    return f"{len(others)} photo" + ("s" if len(others) > 1 else "")
