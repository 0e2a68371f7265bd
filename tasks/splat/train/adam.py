"""Adam for splatting; on the CPU, one pass over memory for each parameter."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numba import float32, prange
from torch import Tensor

from tasks.runtime.context import Device
from tasks.runtime.jit import parallel_kernel

EPSILON = 1e-15
"""As in the original implementation (Kerbl et al. 2023): the gradients of splatting are tiny."""


def adam_for(
    parameters: Sequence[Tensor], rate: float, device: Device, *, sparse: bool = False
) -> torch.optim.Optimizer:
    """The fastest Adam for parameters on a device.

    Args:
        rate: step size.
        sparse: for sparse gradients; rows without one keep their values and moments.
    """
    group = [{"params": list(parameters), "lr": rate}]
    if sparse:
        return torch.optim.SparseAdam(group, lr=rate, eps=EPSILON)
    if device == "cuda":
        return torch.optim.Adam(group, lr=rate, eps=EPSILON, fused=True)
    return Adam(group, lr=rate, eps=EPSILON)


class Adam(torch.optim.Optimizer):
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1) for contiguous float32 parameters on the CPU.

    State names and meaning are those of ``torch.optim.Adam``, which gsplat's strategies edit when
    Gaussians come and go.

    Args:
        params: tensors, or groups with their own options, as every torch optimizer takes them.
        lr: step size.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the denominator.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = EPSILON,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step for every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    state["exp_avg"] = torch.zeros_like(parameter)
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                state["step"] += 1
                steps = state["step"].item()
                # view, not reshape: a copy would take the step in place of the parameter.
                _step(
                    parameter.detach().view(-1).numpy(),
                    parameter.grad.contiguous().view(-1).numpy(),
                    state["exp_avg"].view(-1).numpy(),
                    state["exp_avg_sq"].view(-1).numpy(),
                    np.float32(group["lr"] / (1 - beta1**steps)),
                    np.float32(beta1),
                    np.float32(beta2),
                    np.float32(1 / (1 - beta2**steps)),
                    np.float32(group["eps"]),
                )
        return loss


@parallel_kernel
def _step(
    parameter: Float32[np.ndarray, " n"],
    grad: Float32[np.ndarray, " n"],
    mean: Float32[np.ndarray, " n"],
    mean_square: Float32[np.ndarray, " n"],
    step_size: np.float32,
    beta1: np.float32,
    beta2: np.float32,
    square_correction: np.float32,
    eps: np.float32,
) -> None:
    """``step_size`` is corrected for the bias of ``mean``; ``square_correction`` is that of
    ``mean_square``, ``1 / (1 - beta2^t)``."""
    one = float32(1)
    for i in prange(parameter.shape[0]):
        g = grad[i]
        m = beta1 * mean[i] + (one - beta1) * g
        v = beta2 * mean_square[i] + (one - beta2) * g * g
        mean[i] = m
        mean_square[i] = v
        parameter[i] -= step_size * m / (math.sqrt(v * square_correction) + eps)
