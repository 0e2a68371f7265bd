"""Tensors as the kernels take them."""

import numpy as np
from torch import Tensor


def array_of(values: Tensor) -> np.ndarray:
    """The memory of a tensor on the CPU; a copy where it is not contiguous."""
    return values.detach().contiguous().numpy()
