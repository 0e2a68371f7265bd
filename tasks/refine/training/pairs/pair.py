"""A novel view where a photo was taken: what a refiner sees, and what it should give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32

from tasks.refine.refiner import ViewBatch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """One view of a splat that never saw the photo taken there."""

    views: ViewBatch
    """Of one view, on the CPU."""
    target: Float32[torch.Tensor, "h w 3"]
    """The photo, in [0, 1]."""
    counts: Float32[torch.Tensor, "h w"]
    """1 where the photo may be used, 0 where it is masked."""


@runtime_checkable
class Pairs(Protocol):
    """Stored pairs of one or many scenes; each is read on access."""

    @property
    def scenes(self) -> Sequence[str]:
        """The scene of each pair."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pair: ...
