"""Gaussians as samples of a Markov chain: gsplat's strategy on CUDA, and one for the CPU.

Source: Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte Carlo", NeurIPS 2024.
"""

from typing import Any

import numpy as np
import torch
from gsplat.strategy import MCMCStrategy

from tasks.splat.densify.noise import add_noise
from tasks.splat.densify.relocation import add, relocate

GROWTH = 1.05
"""Factor of the number of Gaussians at each growth, as in gsplat."""

Optimisers = dict[str, torch.optim.Optimizer]


class McmcStrategy(MCMCStrategy):
    """gsplat's ``MCMCStrategy`` with the call of its other strategies.

    ``at_limit`` in the state: whether the limit ``cap_max`` was met.
    """

    absgrad = False

    def initialize_state(self, scene_scale: float = 1.0) -> dict[str, Any]:
        return {**super().initialize_state(), "at_limit": False}

    def step_post_backward(
        self,
        params: torch.nn.ParameterDict,
        optimizers: Optimisers,
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
    ) -> None:
        self._take(params, optimizers, state, step, info, _learning_rate(optimizers))
        state["at_limit"] |= len(params["means"]) >= self.cap_max

    def _take(
        self,
        params: torch.nn.ParameterDict,
        optimizers: Optimisers,
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
        rate: float,
    ) -> None:
        super().step_post_backward(params, optimizers, state, step, info, lr=rate)


class CpuMcmcStrategy(McmcStrategy):
    """The same with our relocation and noise, since gsplat's are CUDA kernels."""

    def initialize_state(self, scene_scale: float = 1.0) -> dict[str, Any]:
        return {"at_limit": False}

    def _take(
        self,
        params: torch.nn.ParameterDict,
        optimizers: Optimisers,
        state: dict[str, Any],
        step: int,
        info: dict[str, Any],
        rate: float,
    ) -> None:
        due = step % self.refine_every == 0
        if due and self.refine_start_iter < step < self.refine_stop_iter:
            dead = params["opacities"].sigmoid() <= self.min_opacity
            relocate(params, optimizers, dead, least_opacity=self.min_opacity)
            count = len(params["means"])
            new = min(self.cap_max, int(GROWTH * count)) - count
            if new > 0:
                add(params, optimizers, new, least_opacity=self.min_opacity)
        means = params["means"].detach()
        add_noise(
            means.numpy(),
            params["quats"].detach().numpy(),
            params["scales"].detach().numpy(),
            params["opacities"].detach().numpy(),
            torch.randn(means.shape).numpy(),
            np.float32(rate * self.noise_lr),
        )


def _learning_rate(optimisers: Optimisers) -> float:
    return float(optimisers["means"].param_groups[0]["lr"])
