"""Matches that only one place explains: planted repetition, and a loop written out."""

import numpy as np

from tasks.sfm.features.distinct import ELSEWHERE, MAX_RATIO, distinct_matches


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def looks(count: int, seed: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((count, 128))).astype(np.float32)


def grid(count: int) -> np.ndarray:
    return np.stack([10.0 * np.arange(count), np.zeros(count)], axis=1)


def test_keypoints_that_repeat_elsewhere_are_left_out() -> None:
    bay, own = looks(5, 0), looks(5, 1)
    # Keypoints 0 to 4 look like 5 to 9, as windows of two bays do; 10 to 14 like nothing else.
    descriptors = np.concatenate([bay, bay, own])
    every = np.stack([np.arange(15)] * 2, axis=1)

    found = distinct_matches([grid(15)] * 2, [descriptors] * 2, {(0, 1): every})

    assert found[0, 1].tolist() == every[10:].tolist()


def test_twins_beside_a_keypoint_do_not_count() -> None:
    plain = looks(20, 0)
    descriptors = np.concatenate([plain, plain[:1]])
    xy = np.concatenate([grid(20), [[0.5, 0.0]]])  # a second detection of keypoint 0
    every = np.stack([np.arange(20)] * 2, axis=1)

    found = distinct_matches([xy] * 2, [descriptors] * 2, {(0, 1): every})

    assert found[0, 1].tolist() == every.tolist()


def test_repetition_in_either_photo_counts() -> None:
    plain = looks(10, 0)
    twice = np.concatenate([plain, plain[:1]])
    every = np.stack([np.arange(10)] * 2, axis=1)
    for xy, descriptors in (
        ([grid(10), grid(11)], [plain, twice]),
        ([grid(11), grid(10)], [twice, plain]),
    ):
        found = distinct_matches(xy, descriptors, {(0, 1): every})
        assert found[0, 1].tolist() == every[1:].tolist()


def test_matches_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(3)
    one, other = looks(40, 4), looks(40, 4)
    other = unit(other + 0.12 * rng.standard_normal((40, 128)))
    other[20:] = unit(other[:20] + 0.07 * rng.standard_normal((20, 128)))
    xy = [rng.uniform(0, 500, (40, 2)) for _ in range(2)]
    every = np.stack([rng.permutation(40)] * 2, axis=1)

    def passes(a: np.ndarray, b: np.ndarray, place: np.ndarray, i: int, j: int) -> bool:
        reach = ELSEWHERE * np.ptp(place, axis=0).max()
        rivals = [
            np.linalg.norm(a[i] - b[k])
            for k in range(len(b))
            if np.linalg.norm(place[k] - place[j]) > reach
        ]
        return bool(np.linalg.norm(a[i] - b[j]) < MAX_RATIO * min(rivals))

    expected = [
        [i, j]
        for i, j in every.tolist()
        if passes(one, other, xy[1], i, j) and passes(other, one, xy[0], j, i)
    ]
    assert 0 < len(expected) < 40
    found = distinct_matches(xy, [one, other], {(0, 1): every})
    assert found[0, 1].tolist() == expected


def test_photos_without_matches_keep_none() -> None:
    nothing = np.zeros((0, 2), np.int32)
    found = distinct_matches([grid(3)] * 2, [looks(3, 0)] * 2, {(0, 1): nothing})
    assert found[0, 1].shape == (0, 2)
