"""Calls of the kernels with tensors."""

from collections.abc import Callable
from threading import Lock

from torch import Tensor

_ALONE = Lock()
"""Numba's threads serve one caller at a time, and training reads views while it scores others."""


def run(kernel: Callable[..., None], *arguments: Tensor | int | float) -> None:
    """Call a kernel with the memory of tensors on the CPU.

    Args:
        arguments: those that are written to must be contiguous; others are copied where they are
            not.
    """
    arrays = [
        one.detach().contiguous().numpy() if isinstance(one, Tensor) else one for one in arguments
    ]
    with _ALONE:
        kernel(*arrays)
