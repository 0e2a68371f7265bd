"""Splats made worse on purpose."""

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.gaussians import Gaussians, joined
from tasks.refine.training.pairs.config import NoiseConfig


def perturbed(splat: Gaussians, config: NoiseConfig, rng: np.random.Generator) -> Gaussians:
    """A splat whose Gaussians are moved, stretched and faded, and some left out.

    The amount is drawn once for all of it, uniformly from 0 to that of ``config``.
    The background stays. Source of the idea: GaussianObject (Yang et al. 2024), 3D noise injection.
    """
    front = splat.foreground
    amount = float(rng.random())

    def normal(*shape: int) -> Float32[Tensor, "..."]:
        return torch.from_numpy(amount * rng.standard_normal(shape, dtype=np.float32))

    size = torch.exp(front.log_scales.mean(1, keepdim=True))
    count = len(front)
    moved = Gaussians(
        means=front.means + config.shift * size * normal(count, 3),
        quats=front.quats,
        log_scales=front.log_scales + config.stretch * normal(count, 3),
        logit_opacities=front.logit_opacities + config.fade * normal(count),
        sh=front.sh,
    )
    kept = torch.from_numpy(rng.random(count) >= amount * config.dropped)
    return joined([splat.background, moved.kept(kept)])
