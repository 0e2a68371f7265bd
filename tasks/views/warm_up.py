"""Compilation of the kernels of views at set-up, so that no scene waits for it."""

import numpy as np
import torch

from tasks.gaussians import Gaussians
from tasks.splat.init.warm_up import cameras_in_a_row
from tasks.views.config import ViewsConfig
from tasks.views.renderer import prepare, render_view

_SIZE = 24  # pixels


def warm_up() -> None:
    """Render one Gaussian at three poses, or load the kernels from numba's cache."""
    cameras = cameras_in_a_row(0.1, _SIZE)
    one = Gaussians(
        means=torch.tensor([[0.0, 0.0, 2.0]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        log_scales=torch.full((1, 3), -1.0),
        logit_opacities=torch.zeros(1),
        sh=torch.zeros(1, 1, 3),
    )
    photos = [np.full((_SIZE, _SIZE, 3), 128, dtype=np.uint8)] * 3
    renderer = prepare(one, cameras, photos, longest_edge=_SIZE)
    render_view(renderer, cameras.select([1]), ViewsConfig())
