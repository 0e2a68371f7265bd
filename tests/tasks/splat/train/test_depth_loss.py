import numpy as np
import pytest
import torch

from tasks.splat.train.depth_loss import depth_loss, depth_target


def test_the_depth_loss_is_the_mean_difference_of_known_inverse_depths() -> None:
    known = np.array([[2.0, 0.0], [4.0, 4.0]], np.float32)  # typically 4
    target = depth_target(known, (2, 2), "cpu")
    assert target is not None
    depth = torch.tensor([[1.0, 9.0], [8.0, 2.0]], requires_grad=True)
    alpha = torch.tensor([[1.0, 1.0], [1.0, 0.4]])  # the last is more clear than opaque

    loss = depth_loss(depth, alpha, target)
    loss.backward()

    assert loss.item() == pytest.approx((abs(4 / 1 - 4 / 2) + abs(4 / 8 - 4 / 4)) / 4)
    # d/dz |4 / z - c| = -+ 4 / z^2, over 4 pixels
    expected = torch.tensor([[-4.0 / 1 / 4, 0.0], [4.0 / 64 / 4, 0.0]])
    torch.testing.assert_close(depth.grad, expected)


def test_a_smaller_view_samples_the_nearest_depth_pixels() -> None:
    depth = np.arange(1, 25, dtype=np.float32).reshape(4, 6)
    target = depth_target(depth, (3, 2), "cpu")
    assert target is not None
    found = target.typical / target.closeness.numpy()
    np.testing.assert_allclose(found, depth[1::2, 1::2], rtol=1e-6)


def test_unknown_depth_gives_no_target_and_zero_depth_stays_finite() -> None:
    assert depth_target(np.zeros((3, 3), np.float32), (3, 3), "cpu") is None
    target = depth_target(np.ones((2, 2), np.float32), (2, 2), "cpu")
    assert target is not None
    depth = torch.zeros(2, 2, requires_grad=True)
    depth_loss(depth, torch.ones(2, 2), target).backward()
    assert depth.grad is not None
    assert torch.isfinite(depth.grad).all()
