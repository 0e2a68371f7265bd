"""Features by photo and matches by pair, kept between runs.

An entry's name is the sha256 of all that it depends on, so entries are never out of date, and any
number of processes may share a folder: whoever comes second writes the same. A damaged entry counts
as missing.
"""

import json
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from storage.names import object_name
from storage.store import Store

FEATURES = "features"
"""Folder of a store with the caches of its scenes."""
VERSION = 1
"""Raised by hand where the numbers of features or matches change."""


def cache_store(store: Store) -> Store:
    """Where the caches of a store's scenes lie: itself, or, where it is a URL, a folder of this
    machine, since an entry for each pair would be slow to fetch."""
    if store.local is not None:
        return store
    folder = Path(tempfile.gettempdir()) / f"unseen-features-{os.getuid()}"
    return Store(root=str(folder / object_name(store.root)))


def cache_folder(store: Store, scene: str) -> Path:
    """Cache of one scene: ``<store>/features/<scene>``."""
    root = cache_store(store).local
    assert root is not None
    return root / FEATURES / object_name(scene)


def photo_key(
    pixels: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"] | None, **settings: Any
) -> str:
    """Name of a photo's features.

    Args:
        mask: true where the photo may be used.
        settings: all else that they depend on.
    """
    content = {
        "pixels": _digest(pixels),
        "mask": None if mask is None else _digest(mask),
        "settings": settings,
        "version": VERSION,
    }
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def pair_key(one: str, other: str, **settings: Any) -> str:
    """Name of the matches between features of two keys, in that order."""
    content = {"features": [one, other], "settings": settings, "version": VERSION}
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def features_file(cache: Path, key: str) -> Path:
    """Entry of a photo's features."""
    return cache / "photos" / f"{key}.npz"


def matches_file(cache: Path, key: str) -> Path:
    """Entry of a pair's matches."""
    return cache / "pairs" / key[:2] / f"{key}.npz"


def _digest(values: np.ndarray) -> str:
    shape = f"{values.dtype.str} {values.shape}\n".encode()
    return sha256(shape + np.ascontiguousarray(values).tobytes()).hexdigest()
