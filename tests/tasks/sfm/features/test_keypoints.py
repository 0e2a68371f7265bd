"""Keypoints of score maps whose peaks are known."""

import numpy as np
import torch

from tasks.sfm.features.keypoints import detect

PEAKS = np.array([[10.0, 8.0], [20.3, 9.0], [30.0, 15.6], [15.0, 25.0]])
HEIGHTS = np.array([0.9, 0.7, 0.5, 0.3])


def bumps(
    peaks: np.ndarray, heights: np.ndarray, width: int = 40, height: int = 32
) -> torch.Tensor:
    """A score map of round hills."""
    rows, columns = np.mgrid[:32, :40]
    hills = [
        top * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2.0)
        for (x, y), top in zip(peaks, heights, strict=True)
    ]
    return torch.from_numpy(np.max(hills, axis=0).astype(np.float32))


def test_hills_are_found_between_pixels_and_the_highest_first() -> None:
    xy, score = detect(bumps(PEAKS, HEIGHTS), threshold=0.1, most=10)
    np.testing.assert_allclose(xy.numpy(), PEAKS, atol=0.2)
    assert (score.diff() < 0).all()
    np.testing.assert_allclose(score.numpy(), HEIGHTS, atol=0.08)


def test_a_hill_off_the_pixel_centre_moves_its_keypoint_towards_it() -> None:
    xy, _ = detect(bumps(PEAKS, HEIGHTS), threshold=0.1, most=10)
    assert 20.05 < xy[1, 0] < 20.5
    assert 15.4 < xy[2, 1] < 15.95


def test_low_hills_are_left_out_and_no_more_are_given_than_wanted() -> None:
    assert len(detect(bumps(PEAKS, HEIGHTS), threshold=0.4, most=10)[0]) == 3
    assert len(detect(bumps(PEAKS, HEIGHTS), threshold=0.1, most=2)[0]) == 2


def test_the_border_gives_no_keypoint() -> None:
    peaks = np.array([[1.0, 10.0], [38.0, 10.0], [20.0, 1.0], [20.0, 30.0], [2.0, 20.0]])
    xy, _ = detect(bumps(peaks, np.full(5, 0.9)), threshold=0.1, most=10)
    np.testing.assert_allclose(xy.numpy(), [[2.0, 20.0]], atol=0.2)


def test_pixels_that_may_not_be_used_give_none_and_leave_room_for_others() -> None:
    use = torch.ones(32, 40, dtype=torch.bool)
    use[:, :25] = False
    xy, _ = detect(bumps(PEAKS, HEIGHTS), threshold=0.1, most=1, use=use)
    np.testing.assert_allclose(xy.numpy(), PEAKS[[2]], atol=0.2)


def test_an_even_score_map_gives_none() -> None:
    assert len(detect(torch.zeros(20, 20), threshold=0.05, most=10)[0]) == 0
