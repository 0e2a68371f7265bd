"""State of a splat's training, as a checkpoint stores it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float32, UInt8

from tasks.runtime.checkpoints import SavedState


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainState(SavedState):
    """Everything that the remaining iterations depend on, beside the arguments of the training."""

    parameters: Mapping[str, torch.Tensor]
    optimisers: Mapping[str, Mapping[str, Any]]
    """``state_dict()`` of each parameter's optimiser: moments, steps, learning rate."""
    strategy: Mapping[str, Any]
    """Running state of gsplat's strategy of densification."""
    per_photo: Mapping[str, Mapping[str, Any]]
    """Terms of each photo: values, and ``state_dict()`` of their optimiser."""
    generators: tuple[UInt8[torch.Tensor, " _"], ...]
    """States of torch's global generators: the CPU's, then that of the CUDA device in use."""
    losses: Float32[torch.Tensor, " l"]
    """Losses of the iterations since the last point of the curve."""
    points: tuple[tuple[int, float, int, float], ...]
    """Points of the curve: iteration, loss, Gaussians, score."""
