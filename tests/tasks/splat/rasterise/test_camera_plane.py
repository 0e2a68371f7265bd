"""Gaussians that reach the plane through the camera, where no projection holds."""

import numpy as np
import pytest
import torch

from tasks.splat.rasterise.cpu.rasterise import rasterise
from tasks.splat.rasterise.cuda import _in_front
from tasks.splat.rasterise.protocol import PinholeCameras, RenderOptions, SplatTensors
from tests.support.dense_reference import rotations
from tests.support.rasteriser_scenes import random_scene, stacked, view

CAMERA = PinholeCameras(
    camera_from_world=np.eye(4),
    intrinsics=np.array([[50.0, 0, 32], [0, 50.0, 24], [0, 0, 1]]),
    width=64,
    height=48,
)


@pytest.mark.parametrize(("ahead", "drawn"), [(0.99, False), (1.01, True)])
def test_a_gaussian_is_drawn_from_one_standard_deviation_before_the_camera(
    ahead: float, drawn: bool
) -> None:
    # On the ground beside the photographer: lying on its side, 0.02 thick along the optical axis.
    quarter_turn_about_y = torch.tensor([[np.sqrt(0.5), 0, np.sqrt(0.5), 0]], dtype=torch.float32)
    found = rasterise(
        SplatTensors(
            means=torch.tensor([[0.0, 0.1, 0.02 * ahead]]),
            quats=quarter_turn_about_y,
            # The first axis comes to lie along the third.
            scales=torch.tensor([[0.02, 0.3, 0.5]]),
            opacities=torch.tensor([0.95]),
            sh=torch.zeros(1, 1, 3),
        ),
        CAMERA,
        RenderOptions(sh_degree=0),
    )
    assert bool((found.radii > 0).all()) == drawn
    assert bool((found.alpha > 0).any()) == drawn


def test_the_cuda_wrapper_culls_the_same_gaussians() -> None:
    near = random_scene(2000, 64, 48, seed=3, size=3.0, shift_z=0.5)
    cameras = stacked(near.view, view(64, 48, turn_rad=-0.3))
    means, quats, scales, *_ = near.tensors(torch.float64)
    axes = rotations(quats) * scales[:, None, :]
    kept = torch.ones(len(means), dtype=torch.bool)
    for pose in torch.from_numpy(cameras.camera_from_world):
        covariance = pose[:3, :3] @ axes @ axes.mT @ pose[:3, :3].T
        kept &= means @ pose[2, :3] + pose[2, 3] >= covariance[:, 2, 2].sqrt()
    assert 0.2 < kept.double().mean() < 0.8

    found = _in_front(near.splat(), torch.from_numpy(cameras.camera_from_world).float())
    assert torch.equal(found, kept)
