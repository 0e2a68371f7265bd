"""Residuals against the blending weights of single Gaussians."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.splat.init.points import SH_0
from tasks.splat.render import render
from tasks.views.residuals import UNKNOWN, as_colours, mean_residuals
from tests.support.cameras_by_hand import HEIGHT, WIDTH, cameras_at


def some_gaussians() -> Gaussians:
    """Seven that overlap in view, and one behind the cameras."""
    generator = torch.Generator().manual_seed(5)
    means = torch.randn(8, 3, generator=generator) * torch.tensor([0.5, 0.3, 0.3])
    means[:, 2] += 3
    means[7, 2] = -3
    return Gaussians(
        means=means,
        quats=torch.randn(8, 4, generator=generator),
        log_scales=torch.randn(8, 3, generator=generator) * 0.3 - 1.2,
        logit_opacities=torch.randn(8, generator=generator),
        sh=torch.randn(8, 4, 3, generator=generator),
    )


def two_cameras() -> Cameras:
    return cameras_at(np.array([[0.0, 0, 0], [0.3, 0.1, -0.2]]))


def weights_of(gaussians: Gaussians, cameras: Cameras, view: int) -> Tensor:
    """Each Gaussian's share of each pixel, [n h w]: white alone among black ones."""
    shares = []
    for index in range(len(gaussians)):
        sh = torch.full((len(gaussians), 1, 3), -0.5 / SH_0)
        sh[index] = 0.5 / SH_0
        shares.append(render(replace(gaussians, sh=sh), cameras, view).rgb[:, :, 0].double())
    return torch.stack(shares)


def test_residuals_are_weighted_means_of_the_errors() -> None:
    gaussians, cameras = some_gaussians(), two_cameras()
    generator = torch.Generator().manual_seed(1)
    errors = [torch.rand(HEIGHT, WIDTH, generator=generator) for _ in range(2)]
    used = [(torch.rand(HEIGHT, WIDTH, generator=generator) > 0.4).float() for _ in range(2)]

    found = mean_residuals(gaussians, cameras, errors, used)

    weighted, total = torch.zeros(8).double(), torch.zeros(8).double()
    for view in range(2):
        share = weights_of(gaussians, cameras, view) * used[view].double()
        weighted += (share * errors[view].double()).sum((1, 2))
        total += share.sum((1, 2))
    np.testing.assert_allclose(found[:7], weighted[:7] / total[:7], rtol=1e-4)
    assert found[7] == UNKNOWN  # no photo shows it


def test_values_rendered_as_colours_are_equal_in_all_channels() -> None:
    gaussians, cameras = some_gaussians(), two_cameras()
    values = torch.linspace(0, 1, 8)
    shown = render(replace(gaussians, sh=as_colours(values)), cameras, 0).rgb
    expected = torch.einsum("n,nhw->hw", values.double(), weights_of(gaussians, cameras, 0))
    for channel in range(3):
        np.testing.assert_allclose(shown[:, :, channel], expected, atol=1e-5)
