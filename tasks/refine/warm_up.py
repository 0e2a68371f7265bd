"""Compile the kernels of refiners once, so that set-up pays for it and no scene does."""

import torch

from tasks.refine.config import GateConfig
from tasks.refine.gate import gated
from tasks.refine.refiner import ViewBatch
from tasks.refine.residual.config import NetworkConfig
from tasks.refine.residual.network import ResidualNetwork
from tasks.refine.residual.refine import refine

_SIZE = 24  # pixels


def warm_up() -> None:
    """Refine a grey view by an untrained network, or load the kernels from numba's cache."""
    grey = torch.full((1, _SIZE, _SIZE, 3), 0.5)
    ones = torch.ones(1, _SIZE, _SIZE)
    views = ViewBatch(
        render=grey,
        depth=ones,
        alpha=ones,
        confidence=ones,
        warped=grey,
        warped_valid=ones,
        nearest=grey,
        swept_depth=ones,
        swept_cost=ones,
        swept=grey[:, None].repeat(1, 2, 1, 1, 1),
        swept_valid=ones[:, None].repeat(1, 2, 1, 1),
        surface_gap=ones,
        surface_error=ones,
    )
    gated(views, refine(ResidualNetwork(NetworkConfig(widths=(8,))), views), GateConfig())
