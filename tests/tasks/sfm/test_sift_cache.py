"""SIFT features and matches that are kept, on real photos."""

from pathlib import Path

import numpy as np
import pytest

from tasks.runtime.context import Context
from tasks.sfm.config import SfmConfig
from tasks.sfm.features.config import Sift
from tasks.sfm.reconstruct import Reconstruction, reconstruct
from tests.tasks.sfm.conftest import photos_of


def found(folder: Path, photos: int, cache: Path | None, features: int = 512) -> Reconstruction:
    folder.mkdir()
    return reconstruct(
        photos_of("fountain_p11", photos),
        SfmConfig(features=Sift(max_features=features), threads=1),
        work_folder=folder,
        cache=cache,
        context=Context(threads=1),
    )


def entries(cache: Path, kind: str) -> dict[str, int]:
    """Files of a cache and their inodes, which a file written anew does not keep."""
    return {file.name: file.stat().st_ino for file in (cache / kind).rglob("*.npz")}


def assert_equal(one: Reconstruction, other: Reconstruction) -> None:
    assert one.cameras.names == other.cameras.names
    np.testing.assert_array_equal(one.cameras.camera_from_world, other.cameras.camera_from_world)
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.matches.pairs, other.matches.pairs)


@pytest.mark.slow
def test_one_more_photo_costs_that_photo_and_its_pairs(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found(tmp_path / "four", 4, cache)
    photos, pairs = entries(cache, "photos"), entries(cache, "pairs")
    assert (len(photos), len(pairs)) == (4, 6)

    five = found(tmp_path / "five", 5, cache)
    assert entries(cache, "photos").items() >= photos.items()
    assert entries(cache, "pairs").items() >= pairs.items()
    assert (len(entries(cache, "photos")), len(entries(cache, "pairs"))) == (5, 10)
    assert_equal(five, found(tmp_path / "anew", 5, None))


@pytest.mark.slow
def test_damaged_entries_are_made_anew_and_other_settings_have_their_own(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = found(tmp_path / "first", 3, cache)
    damaged = [next((cache / kind).rglob("*.npz")) for kind in ("photos", "pairs")]
    for file in damaged:
        file.write_bytes(file.read_bytes()[:-1])
    assert_equal(first, found(tmp_path / "again", 3, cache))
    assert (len(entries(cache, "photos")), len(entries(cache, "pairs"))) == (3, 3)
    found(tmp_path / "fewer", 3, cache, features=400)
    assert (len(entries(cache, "photos")), len(entries(cache, "pairs"))) == (6, 6)
