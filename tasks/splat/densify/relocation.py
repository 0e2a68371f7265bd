"""Gaussians that multiply without changing the picture, and dead ones that move to live ones.

Source: Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte Carlo", NeurIPS 2024.
"""

from collections.abc import Mapping
from functools import cache

import torch
from gsplat.strategy.ops import _update_param_with_optimizer
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

MOST_COPIES = 51
"""Largest number of copies of one Gaussian at a time, as in the original; more count as this."""
_EPSILON = torch.finfo(torch.float32).eps


def split_alike(
    opacities: Float32[Tensor, " n"], scales: Float32[Tensor, "n 3"], copies: Int64[Tensor, " n"]
) -> tuple[Float32[Tensor, " n"], Float32[Tensor, "n 3"]]:
    """Opacity and scales of each of several equal Gaussians in the place of one.

    Behind each other at its mean they absorb as much as it did at the centre, and in all along a
    line through it.

    Args:
        opacities: 0..1, below 1.
        scales: standard deviations, any unit.
        copies: Gaussians, 1 or more, that one becomes, itself included.

    Source: equation 9, whose sums over the binomials ``C(i - 1, k)`` are ``C(N, k + 1)``.
    """
    n = copies.clamp(1, MOST_COPIES)
    old = opacities.double()
    new = 1 - (1 - old) ** (1 / n)
    j = torch.arange(1, MOST_COPIES + 1, dtype=torch.float64, device=new.device)
    # Alternating: float32 would lose up to 5 digits of the sum where the old one is opaque.
    terms = _signed_binomials().to(new.device)[n] * new[:, None] ** j / j.sqrt()
    return new.float(), (scales * (old / terms.sum(1))[:, None]).float()


@cache
def _signed_binomials() -> Float64[Tensor, "n j"]:
    """``(-1)^(j - 1) C(n, j)`` for n from 0 and j from 1, both up to ``MOST_COPIES``."""
    rows = [[1.0] + [0.0] * MOST_COPIES]
    for _ in range(MOST_COPIES):
        last = rows[-1]
        rows.append([1.0] + [last[j] + last[j - 1] for j in range(1, MOST_COPIES + 1)])
    table = torch.tensor(rows, dtype=torch.float64)[:, 1:]
    table[:, 1::2] *= -1
    return table


def relocate(
    params: torch.nn.ParameterDict,
    optimisers: Mapping[str, torch.optim.Optimizer],
    dead: Bool[Tensor, " n"],
    *,
    least_opacity: float,
) -> int:
    """Move dead Gaussians onto live ones, drawn by opacity, which share their opacity with them.

    Draws from torch's global generator. Adam forgets what it knew of both.

    Args:
        params: by gsplat's names; changed, as the state of ``optimisers`` is.
        least_opacity: that shared opacities do not fall below.

    Returns:
        How many were moved: all that are dead, or none if none lives.
    """
    alive = (~dead).nonzero()[:, 0]
    moved = dead.nonzero()[:, 0]
    if not len(moved) or not len(alive):
        return 0
    sources = alive[_drawn(params["opacities"][alive].sigmoid(), len(moved))]
    _share(params, sources, least_opacity)
    for name, values in params.items():
        values[moved] = values[sources]
        _forget(optimisers[name], torch.cat([sources, moved]))
    return len(moved)


def add(
    params: torch.nn.ParameterDict,
    optimisers: Mapping[str, torch.optim.Optimizer],
    count: int,
    *,
    least_opacity: float,
) -> None:
    """Add ``count`` Gaussians at live ones; otherwise as :func:`relocate`."""
    sources = _drawn(params["opacities"].sigmoid(), count)
    _share(params, sources, least_opacity)
    for optimiser in optimisers.values():
        _forget(optimiser, sources)
    _update_param_with_optimizer(
        lambda name, values: torch.nn.Parameter(torch.cat([values, values[sources]])),
        lambda key, moments: torch.cat([moments, torch.zeros_like(moments[sources])]),
        params,
        optimisers,
    )


def _drawn(weights: Float[Tensor, " n"], count: int) -> Int64[Tensor, " count"]:
    """Indices drawn by weight, with replacement, from any number of weights."""
    sums = weights.double().cumsum(0)
    at = torch.rand(count, dtype=torch.float64, device=sums.device) * sums[-1]
    return torch.searchsorted(sums, at, right=True).clamp_max(len(sums) - 1)


def _share(params: torch.nn.ParameterDict, sources: Int64[Tensor, " m"], least: float) -> None:
    """Share each source's opacity and scales between itself and the Gaussians it was drawn for."""
    chosen, drawn = torch.unique(sources, return_counts=True)
    opacities, scales = split_alike(
        params["opacities"][chosen].sigmoid(), params["scales"][chosen].exp(), drawn + 1
    )
    params["opacities"][chosen] = opacities.clamp(least, 1 - _EPSILON).logit()
    params["scales"][chosen] = scales.log()


def _forget(optimiser: torch.optim.Optimizer, rows: Int64[Tensor, " m"]) -> None:
    for state in optimiser.state.values():
        for name, moments in state.items():
            if name != "step":
                moments[rows] = 0
