"""SIFT features by photo and matches by pair, kept between runs; see
:mod:`tasks.sfm.features.cache`.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from tasks.sfm.exchange import Request
from tasks.sfm.features.cache import features_file, matches_file, pair_key, photo_key
from tasks.sfm.features.exchange import Pair, recall_arrays, write_arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class SiftCache:
    """What is kept of a request's photos, to and from its database.

    Where the request has no cache, nothing is there and nothing is kept.
    """

    folder: Path | None
    keys: tuple[str, ...]
    """Of each photo's features."""

    @classmethod
    def of(cls, request: Request) -> "SiftCache":
        names = [request.photo_name(photo) for photo in range(len(request.camera_of_photo))]
        keys: tuple[str, ...] = ()
        if request.cache is not None:
            keys = tuple(_photo_key(request, name) for name in names)
        return cls(folder=request.cache, keys=keys)

    def recall_features(self, opened: pycolmap.Database) -> set[int]:
        """Write what is kept into the database, and tell of which photos it is."""
        found = set()
        for photo, key in enumerate(self.keys):
            entry = recall_arrays(features_file(self._folder, key))
            if entry is not None:
                opened.write_keypoints(photo + 1, entry["keypoints"])
                opened.write_descriptors(
                    photo + 1,
                    pycolmap.FeatureDescriptors(
                        type=pycolmap.FeatureExtractorType.SIFT, data=entry["descriptors"]
                    ),
                )
                found.add(photo)
        return found

    def keep_features(self, opened: pycolmap.Database, photos: Iterable[int]) -> None:
        """
        Raises:
            MachineError: a file cannot be written.
        """
        for photo in photos if self.keys else ():
            write_arrays(
                features_file(self._folder, self.keys[photo]),
                {
                    "keypoints": np.asarray(opened.read_keypoints(photo + 1)),
                    "descriptors": np.asarray(opened.read_descriptors(photo + 1).data),
                },
            )

    def recall_matches(self, opened: pycolmap.Database, pairs: Iterable[Pair]) -> set[Pair]:
        """Write what is kept into the database, and tell of which pairs it is."""
        found = set()
        for one, other in pairs if self.keys else ():
            entry = recall_arrays(self._matches_file((one, other)))
            if entry is not None:
                opened.write_matches(one + 1, other + 1, entry["indices"])
                found.add((one, other))
        return found

    def keep_matches(self, opened: pycolmap.Database, pairs: Iterable[Pair]) -> None:
        """
        Raises:
            MachineError: a file cannot be written.
        """
        for one, other in pairs if self.keys else ():
            matches = np.asarray(opened.read_matches(one + 1, other + 1))
            write_arrays(self._matches_file((one, other)), {"indices": matches})

    @property
    def _folder(self) -> Path:
        assert self.folder is not None, "no keys without a folder"
        return self.folder

    def _matches_file(self, pair: Pair) -> Path:
        one, other = (self.keys[photo] for photo in pair)
        return matches_file(self._folder, pair_key(one, other, matcher="nearest neighbours"))


def _photo_key(request: Request, name: str) -> str:
    pixels = pycolmap.Bitmap.read(str(request.photo_folder / name), as_rgb=True).to_array()
    mask, file = None, request.mask_folder / request.mask_name(name)
    if file.exists():
        mask = pycolmap.Bitmap.read(str(file), as_rgb=False).to_array() == 255
    return photo_key(
        pixels,
        mask,
        pycolmap=pycolmap.__version__,
        max_features=request.config.sift().max_features,
    )
