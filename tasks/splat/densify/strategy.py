"""Strategies of densification by config, with one interface for the trainer."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from gsplat.strategy.base import Strategy

from tasks.runtime.context import Device
from tasks.splat.config import Absgrad, Densify, Mcmc
from tasks.splat.densify.by_gradient import GradientStrategy
from tasks.splat.densify.mcmc import CpuMcmcStrategy, McmcStrategy

Params = torch.nn.ParameterDict
Optimisers = Mapping[str, torch.optim.Optimizer]
State = dict[str, Any]


@runtime_checkable
class Densifier(Protocol):
    """Interface of a strategy: gsplat's calls, the same for all kinds.

    The state is all that changes in it, and holds tensors and scalars alone, so that a checkpoint
    can keep it; ``at_limit`` there tells that more Gaussians were wanted than may be.
    """

    absgrad: bool
    """Whether it reads ``means2d.absgrad``."""

    def initialize_state(self, scene_scale: float = 1.0) -> State: ...

    def check_sanity(self, params: Params, optimizers: Optimisers) -> None: ...

    def step_pre_backward(
        self, params: Params, optimizers: Optimisers, state: State, step: int, info: dict[str, Any]
    ) -> None: ...

    def step_post_backward(
        self, params: Params, optimizers: Optimisers, state: State, step: int, info: dict[str, Any]
    ) -> None:
        """To be called after the optimisers' steps, without gradients."""
        ...


class _Still(Strategy):
    """Strategy that neither adds nor removes nor moves Gaussians."""

    absgrad = False

    def initialize_state(self, scene_scale: float = 1.0) -> State:
        return {}


def densifier_for(
    densify: Densify | None, *, iterations: int, extent: float, most: int, device: Device
) -> Densifier:
    """The strategy for a whole training.

    Args:
        densify: None for none.
        iterations: of the optimisation.
        extent: of the scene, world units.
        most: Gaussians that there may be; beyond it none is added.
        device: MCMC runs gsplat's kernels on CUDA and ours on the CPU.

    Sources: Kerbl et al., SIGGRAPH 2023, section 5; Ye et al., AbsGS, ACM MM 2024; Kheradmand et
    al., NeurIPS 2024.
    """
    if densify is None:
        return _Still()
    when = {
        "refine_start_iter": densify.start,
        "refine_stop_iter": int(densify.stop_share * iterations),
        "refine_every": densify.every,
    }
    if isinstance(densify, Mcmc):
        strategy = McmcStrategy if device == "cuda" else CpuMcmcStrategy
        return strategy(
            **when,
            cap_max=most,
            min_opacity=densify.prune_opacity,
            # gsplat's worlds are scaled to an extent of about 1. Noise is covariance times learning
            # rate, so it would grow with the cube of the world's unit; it should with the unit.
            noise_lr=densify.noise / extent**2,
        )
    return GradientStrategy(
        **when,
        most=most,
        grow_grad2d=densify.gradient,
        prune_opa=densify.prune_opacity,
        absgrad=isinstance(densify, Absgrad),
        revised_opacity=densify.revised_opacity,
        # Resetting opacities costs runs of a few thousand iterations more than it mends.
        reset_every=iterations + 1,
    )
