"""Sparse gradients: an iteration updates only the Gaussians in view."""

import torch
from jaxtyping import Int64
from torch import Tensor

from tasks.splat.rasterise.protocol import Rendering


def keep_rows_in_view(params: torch.nn.ParameterDict, rendering: Rendering) -> None:
    """Make the gradients sparse ones, with rows for the Gaussians that a rendering shows."""
    rows = _in_view(rendering)
    for param in params.values():
        if param.grad is not None:
            param.grad = torch.sparse_coo_tensor(
                rows[None],
                param.grad[rows],
                param.shape,
                is_coalesced=True,
                check_invariants=False,  # rows are indices, each once
            )


def _in_view(rendering: Rendering) -> Int64[Tensor, " m"]:
    """Indices of the Gaussians in view of any camera, ascending."""
    if rendering.gaussians is not None:
        return torch.unique(rendering.gaussians)
    return (rendering.radii > 0).all(-1).any(0).nonzero()[:, 0]
