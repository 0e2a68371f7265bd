"""Global descriptors, on made-up photos and on real ones."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tasks.sfm.pairs.retrieval import global_descriptors, nearest
from tests.support.real_scenes import scene_folder

MATCHED = """
import sys
import numpy as np
import pycolmap

folder, work, features = sys.argv[1], sys.argv[2], int(sys.argv[3])
extraction = pycolmap.FeatureExtractionOptions(num_threads=1)
extraction.sift.max_num_features = features
file = work + "/database.db"
pycolmap.extract_features(file, folder, extraction_options=extraction, device=pycolmap.Device.cpu)
matching = pycolmap.FeatureMatchingOptions(num_threads=1)
pycolmap.match_exhaustive(file, matching_options=matching, device=pycolmap.Device.cpu)
database = pycolmap.Database.open(file)
ids = sorted(image.image_id for image in database.read_all_images())
inliers = np.zeros((len(ids), len(ids)), int)
for pair, count in zip(*database.read_two_view_geometry_num_inliers()):
    one, other = (ids.index(image) for image in pycolmap.pair_id_to_image_pair(pair))
    inliers[one, other] = inliers[other, one] = count
local = {f"photo_{n}": database.read_descriptors(image).data for n, image in enumerate(ids)}
np.savez(work + "/matched.npz", inliers=inliers, **local)
"""


def everyone(count: int) -> np.ndarray:
    return np.ones((count, count), dtype=bool)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "neighbours", "recall"), [("hololens_a", 10, 0.95), ("castle_p19", 6, 0.8)]
)
def test_photos_with_many_matches_are_among_the_most_similar(
    tmp_path: Path, scene: str, neighbours: int, recall: float
) -> None:
    photos = scene_folder(scene) / "images"
    subprocess.run(  # a process of its own: Pillow and pycolmap do not go together
        [sys.executable, "-c", MATCHED, str(photos), str(tmp_path), "2048"],
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    stored = np.load(tmp_path / "matched.npz")
    count = len(stored["inliers"])
    local = [stored[f"photo_{number}"] for number in range(count)]

    found = nearest(global_descriptors(local), neighbours, everyone(count))

    chosen = np.zeros((count, count), dtype=bool)
    chosen[tuple(np.array(found).T)] = True
    overlapping = np.triu(stored["inliers"] >= 100)
    assert chosen.sum() < 0.45 * count * (count - 1) / 2
    assert (chosen & overlapping).sum() >= recall * overlapping.sum()
    # None is cut off: matches of the pairs chosen link all that the matches of all pairs link.
    assert parts(np.where(chosen, stored["inliers"], 0) >= 15) == parts(stored["inliers"] >= 15)


def parts(linked: np.ndarray) -> int:
    """Number of connected components."""
    reach = np.eye(len(linked), dtype=int) | linked | linked.T
    for _ in range(7):
        reach = (reach @ reach > 0).astype(int)
    return len(np.unique(reach, axis=0))


@pytest.mark.slow
def test_500_photos_cost_a_fraction_of_their_matching() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 120, (3000, 128), dtype=np.uint8)
    local = [np.roll(one, shift, axis=1) for shift in range(500)]
    began = time.process_time()
    found = nearest(global_descriptors(local), 20, everyone(500))
    assert len(found) <= 500 * 20
    assert time.process_time() - began < 60  # 10,000 pairs take some 500 s


def test_descriptors_are_unit_vectors_whatever_the_features_are() -> None:
    rng = np.random.default_rng(0)
    sift = [rng.integers(0, 255, (50, 128), dtype=np.uint8) for _ in range(3)]
    aliked = [rng.normal(size=(50, 128)).astype(np.float32) for _ in range(3)]
    for local in (sift, aliked, [one[:2] for one in sift]):
        lengths = np.linalg.norm(global_descriptors(local), axis=1)
        np.testing.assert_allclose(lengths, 1.0, rtol=1e-5)


def test_photos_without_features_have_no_pairs() -> None:
    rng = np.random.default_rng(0)
    empty = np.zeros((0, 128), np.uint8)
    local = [rng.integers(0, 255, (40, 128), dtype=np.uint8), empty, empty]
    local.append(local[0].copy())
    assert nearest(global_descriptors(local), 3, everyone(4)) == [(0, 3)]
    assert nearest(global_descriptors([empty, empty]), 3, everyone(2)) == []


def test_photos_of_the_same_things_are_found_whatever_the_order_of_their_features() -> None:
    rng = np.random.default_rng(5)
    scenes = rng.random((4, 200, 128)) ** 4
    local = []
    for photo in range(12):
        shown = scenes[photo % 4][rng.permutation(200)[:120]]
        local.append(np.uint8(255 * np.clip(shown + 0.02 * rng.random(shown.shape), 0, 1)))

    found = nearest(global_descriptors(local, words=16), 2, everyone(12))

    assert set(found) == {(i, j) for i in range(12) for j in range(i + 1, 12) if i % 4 == j % 4}
