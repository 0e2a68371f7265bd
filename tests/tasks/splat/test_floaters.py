import numpy as np
import torch

from tasks.splat.floaters import limit_widths


def test_no_gaussian_is_wider_than_its_share_of_the_distance_to_the_nearest_camera() -> None:
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
