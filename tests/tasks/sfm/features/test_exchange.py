"""Files of features and matches: whole or refused."""

from pathlib import Path

import numpy as np
import pytest

from storage.errors import IntegrityError
from tasks.sfm.features.exchange import (
    Extraction,
    Matching,
    PairMatches,
    PhotoFeatures,
    Request,
)


def features(count: int = 3, *, sift: bool = False) -> PhotoFeatures:
    rng = np.random.default_rng(count)
    return PhotoFeatures(
        xy=rng.uniform(0, 40, (count, 2)).astype(np.float32),
        descriptors=rng.normal(size=(count, 8)).astype(np.float16),
        strength=rng.uniform(size=count).astype(np.float32),
        size=(40, 30),
        scale_and_angle=rng.normal(size=(count, 2)).astype(np.float32) if sift else None,
    )


@pytest.mark.parametrize("sift", [False, True])
def test_features_come_back_to_the_bit(tmp_path: Path, sift: bool) -> None:
    written = features(sift=sift)
    written.write(tmp_path / "deep" / "one.npz")
    read = PhotoFeatures.read(tmp_path / "deep" / "one.npz")
    assert read.size == (40, 30)
    for name in ("xy", "descriptors", "strength", "scale_and_angle"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "one.npz"]


def test_whatever_byte_is_damaged_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.npz"
    features().write(file)
    content = file.read_bytes()
    for place in range(0, len(content), 37):
        file.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        with pytest.raises(IntegrityError, match="damaged"):
            PhotoFeatures.read(file)
    for length in (0, 10, 32, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(IntegrityError, match="damaged"):
            PhotoFeatures.read(file)


def test_matches_below_a_score_are_left_out(tmp_path: Path) -> None:
    matches = PairMatches(
        indices=np.array([[0, 2], [1, 1], [2, 0]], dtype=np.int32),
        scores=np.array([0.9, 0.3, 0.29], dtype=np.float32),
    )
    matches.write(tmp_path / "pair.npz")
    kept = PairMatches.read(tmp_path / "pair.npz").at_least(0.3)
    assert kept.indices.tolist() == [[0, 2], [1, 1]]


def test_a_request_comes_back_as_it_was(tmp_path: Path) -> None:
    request = Request(
        cache="/cache",
        photos=("a.png", "b.png"),
        masks=(None, "b.mask.png"),
        pairs=((0, 1),),
        extraction=Extraction(
            max_keypoints=9, detection_threshold=0.1, long_side=99, weights="w", weights_digest="d"
        ),
        matching=Matching(precision="auto", weights="m", weights_digest="e"),
        threads=2,
    )
    request.write(tmp_path)
    assert Request.read(tmp_path) == request
    Request(cache="/cache").write(tmp_path)
    assert Request.read(tmp_path) == Request(cache="/cache")
