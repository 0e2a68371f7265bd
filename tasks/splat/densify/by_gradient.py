"""Densification by image gradients, up to a limit of Gaussians."""

from dataclasses import dataclass
from typing import Any

import torch
from gsplat.strategy import DefaultStrategy


@dataclass
class GradientStrategy(DefaultStrategy):
    """gsplat's ``DefaultStrategy`` with a limit: where room is short, the largest gradients grow.

    ``at_limit`` in the state: whether the limit stopped some.
    """

    most: int = 1_000_000
    """Largest number of Gaussians."""

    def initialize_state(self, scene_scale: float = 1.0) -> dict[str, Any]:
        return {**super().initialize_state(scene_scale), "at_limit": False}

    def step_post_backward(
        self,
        params: torch.nn.ParameterDict,
        optimizers: dict[str, torch.optim.Optimizer],
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
        packed: bool | None = None,
    ) -> None:
        """``packed`` follows from ``info``, which names the Gaussians of its rows."""
        packed = info["gaussian_ids"] is not None
        super().step_post_backward(params, optimizers, state, step, info, packed=packed)

    @torch.no_grad()
    def _grow_gs(
        self,
        params: torch.nn.ParameterDict,
        optimizers: dict[str, torch.optim.Optimizer],
        state: dict[str, Any],
        step: int,
    ) -> tuple[int, int]:
        # Each that grows, by a copy or by halves, makes one more. The sums are those of this
        # growing alone: gsplat sets them to 0 after it.
        room = max(0, self.most - len(params["means"]))
        gradients = state["grad2d"] / state["count"].clamp_min(1)
        wanted = (gradients > self.grow_grad2d).nonzero()[:, 0]
        if len(wanted) > room:
            state["at_limit"] = True
            order = gradients[wanted].argsort(descending=True, stable=True)
            state["grad2d"][wanted[order[room:]]] = 0
        return super()._grow_gs(params, optimizers, state, step)
