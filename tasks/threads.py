"""How many CPU threads the numerical libraries take."""

import numba
import torch


def limit_threads(count: int) -> None:
    """Give torch and the compiled kernels of the calling thread ``count`` CPU threads."""
    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
