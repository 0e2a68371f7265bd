"""Gaussians that reach the plane through the camera, where no projection holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tasks.splat.rasterise.cpu.rasterise import rasterise
from tasks.splat.rasterise.cuda import in_front
from tasks.splat.rasterise.cuda import rasterise as rasterise_on_cuda
from tasks.splat.rasterise.protocol import PinholeCameras, RenderOptions, SplatTensors
from tests.support.dense_reference import rotations
from tests.support.gsplat_in_torch import run_on_cpu
from tests.support.rasteriser_scenes import random_scene, splat_of, stacked, view

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
    kept = []
    for pose in torch.from_numpy(cameras.camera_from_world):
        covariance = pose[:3, :3] @ axes @ axes.mT @ pose[:3, :3].T
        kept.append(means @ pose[2, :3] + pose[2, 3] >= covariance[:, 2, 2].sqrt())
    expected = torch.stack(kept)
    assert 0.2 < expected.double().mean() < 0.8
    assert (expected[0] != expected[1]).any()

    found = in_front(near.splat(), torch.from_numpy(cameras.camera_from_world).float())
    assert torch.equal(found, expected)


@pytest.mark.parametrize("packed", [False, True], ids=["a row for each", "packed"])
@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
def test_cameras_back_to_back_see_on_cuda_what_each_sees_alone(
    packed: bool, antialiased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_on_cpu(monkeypatch)
    ahead = random_scene(40, 64, 48, seed=3)
    behind = ahead.tensors(torch.float32)
    half_turn = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    behind[0] = behind[0] @ half_turn
    splat = splat_of(
        [torch.cat(pair) for pair in zip(ahead.tensors(torch.float32), behind, strict=True)]
    )
    turned = np.eye(4)
    turned[:3, :3] = half_turn.numpy()
    opposite = replace(ahead.view, camera_from_world=ahead.view.camera_from_world @ turned)
    colours = torch.tensor([[0.2, 0.4, 0.6], [0.7, 0.1, 0.3]])
    views = [
        replace(camera, background_image=colour)
        for camera, colour in zip((ahead.view, opposite), colours, strict=True)
    ]
    options = RenderOptions(sh_degree=2, antialiased=antialiased, with_depth=True, packed=packed)

    both = replace(stacked(ahead.view, opposite), background_image=colours)
    found = rasterise_on_cuda(splat, both, options)

    each = [rasterise_on_cuda(splat, camera, options) for camera in views]
    by_kernels = [rasterise(splat, camera, options) for camera in views]
    for camera in range(2):
        assert (each[camera].alpha > 0.1).double().mean() > 0.3
        for name in ("rgb", "alpha", "depth"):
            alone = getattr(each[camera], name)
            assert torch.equal(getattr(found, name)[camera], alone)
            ours = getattr(by_kernels[camera], name)
            assert ((alone - ours).abs() > 1e-4 * ours.abs().clamp_min(1)).double().mean() < 2e-3
    rows = [one.radii.reshape(-1, 2) for one in each]
    assert torch.equal(found.radii.reshape(-1, 2), torch.cat(rows))
    if packed:
        assert torch.equal(found.gaussians, torch.cat([one.gaussians for one in each]))
        assert len(found.radii) == len(found.gaussians) == len(found.means2d)
    else:
        assert found.radii.shape == found.means2d.shape == (2, 80, 2)
