"""The state of a splat's optimisation, as a checkpoint stores it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float32, UInt8

from tasks.runtime.checkpoints import SavedState


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DescentState(SavedState):
    """All that the rest of an optimisation depends on, beside what it was called with."""

    parameters: Mapping[str, torch.Tensor]
    optimisers: Mapping[str, Mapping[str, Any]]
    """``state_dict()`` of the optimiser of each parameter: moments, steps, learning rate."""
    strategy: Mapping[str, Any]
    """The running state of gsplat's strategy."""
    photo_terms: Mapping[str, Mapping[str, Any]]
    """Of what each photo has of its own: values, and ``state_dict()`` of their optimiser."""
    generators: tuple[UInt8[torch.Tensor, " _"], ...]
    """States of torch's global generators: of the CPU, then of the CUDA device in use."""
    losses: Float32[torch.Tensor, " l"]
    """Of the iterations since the last point of the curve."""
    points: tuple[tuple[int, float, int, float], ...]
    """Of the curve: iteration, loss, Gaussians, score."""
