import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.cameras import Cameras, cameras_from_poses
from tasks.gaussians import TENSORS, Gaussians
from tasks.splat.train.floaters import camera_near_depths, cleared, limit_widths

WIDTH, HEIGHT, FOCAL = 40, 30, 20.0
"""A frame that reaches as far to the sides as it is deep, and three quarters of it up and down."""


def ahead(*centres: tuple[float, float, float]) -> Cameras:
    """Cameras that all look along +z."""
    count = len(centres)
    lens = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]])
    return cameras_from_poses(
        tuple(f"{index}.png" for index in range(count)),
        np.tile(np.eye(3), (count, 1, 1)),
        np.array(centres, dtype=np.float64),
        np.tile(lens, (count, 1, 1)),
        np.tile(np.array([[WIDTH, HEIGHT]], dtype=np.int64), (count, 1)),
    )


def gaussians_at(means: np.ndarray, num_background: int = 0) -> Gaussians:
    count = len(means)
    generator = torch.Generator().manual_seed(0)
    return Gaussians(
        means=torch.from_numpy(means.astype(np.float32)).reshape(count, 3),
        quats=torch.randn(count, 4, generator=generator),
        log_scales=torch.randn(count, 3, generator=generator),
        logit_opacities=torch.randn(count, generator=generator),
        sh=torch.randn(count, 1, 3, generator=generator),
        num_background=num_background,
    )


def test_gaussian_widths_are_limited_relative_to_the_nearest_camera_distance() -> None:
    generator = np.random.default_rng(0)
    means = generator.normal(0, 3, (500, 3)).astype(np.float32)
    centres = generator.normal(0, 2, (7, 3)).astype(np.float32)
    before = generator.normal(-1, 1.5, (500, 3)).astype(np.float32)
    distances = np.linalg.norm(means[:, None].astype(np.float64) - centres[None], axis=2).min(1)
    expected = np.minimum(np.exp(before.astype(np.float64)), 0.25 * distances[:, None])
    assert 0.1 < (expected < np.exp(before) * 0.999).mean() < 0.9

    scales = torch.from_numpy(before.copy())
    limit_widths(scales, torch.from_numpy(means), torch.from_numpy(centres), 0.25)

    np.testing.assert_allclose(scales.exp().numpy(), expected, rtol=1e-4)


def test_the_near_depth_is_the_second_percentile_of_depths_in_frame() -> None:
    depths = np.arange(3.0, 104.0)  # 101 points: the second percentile is the third of them
    straight_ahead = np.stack([np.zeros(101), np.zeros(101), depths], axis=1)
    beside = np.array([[2.0, 0.0, 1.0], [0.0, 0.8, 1.0], [0.0, 0.0, -1.0]])  # and one behind

    near_depths = camera_near_depths(
        ahead((0, 0, 0), (0, 0, 1.5), (0, 0, 200)), np.concatenate([beside, straight_ahead])
    )

    np.testing.assert_allclose(near_depths, [5.0, 3.5, 0.0])


def test_gaussians_before_the_scene_and_outside_every_frame_are_removed() -> None:
    cameras, near_depths = ahead((0, 0, 0), (4, 0, 0)), np.array([10.0, 2.0])
    places = {
        "num_background": ((0, 2, 0), True),
        "in the frame": ((0, 0, 1), True),
        "under the frame": ((0, 2, 1), False),
        "behind the camera": ((0, 0, -1), False),
        "under the frame, as far as the scene": ((0, 8.5, 1), True),
        "under it and nearer than another camera's scene": ((4, 2, 0.5), True),  # 2.06 > 0.8 * 2
        "nearer": ((4, 1.5, 0.5), False),
    }
    before = gaussians_at(np.array([place for place, _ in places.values()]), num_background=1)
    kept = torch.tensor([stays for _, stays in places.values()])

    after = cleared(before, cameras, near_depths, 0.8)

    assert after.num_background == 1
    for name in TENSORS:
        torch.testing.assert_close(
            getattr(after, name), getattr(before, name)[kept], rtol=0, atol=0
        )


def test_without_near_depths_or_clearance_no_gaussian_is_removed() -> None:
    fog = gaussians_at(np.array([[0.0, 2.0, 1.0]]))

    assert cleared(fog, ahead((0, 0, 0)), None, 0.8) is fog
    assert cleared(fog, ahead((0, 0, 0)), np.array([10.0]), None) is fog
    assert len(cleared(fog, ahead((0, 0, 0)), np.array([10.0]), 0.8)) == 0


@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5), clearance=st.sampled_from([0.5, 0.9])
)
def test_removal_of_each_gaussian_matches_the_per_gaussian_rule(
    seed: int, count: int, clearance: float
) -> None:
    generator = np.random.default_rng(seed)
    cameras = ahead(*map(tuple, generator.normal(0, 2, (count, 3))))
    near_depths = generator.uniform(0, 5, count)
    means = generator.normal(0, 3, (60, 3)).astype(np.float32)

    after = cleared(gaussians_at(means), cameras, near_depths, clearance)

    kept = [
        mean for mean in means.astype(np.float64) if stays(mean, cameras, near_depths, clearance)
    ]
    np.testing.assert_array_equal(after.means.numpy(), np.array(kept).reshape(-1, 3))


def stays(mean: np.ndarray, cameras: Cameras, near_depths: np.ndarray, clearance: float) -> bool:
    """Of cameras that look along +z."""
    for x, y, z in mean - cameras.centres:
        if z > 0 and abs(x) <= z and abs(y) <= 0.75 * z:
            return True
    distances = [float(np.linalg.norm(mean - centre)) for centre in cameras.centres]
    nearest = int(np.argmin(distances))
    return distances[nearest] >= clearance * float(near_depths[nearest])
