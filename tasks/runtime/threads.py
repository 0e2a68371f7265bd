"""How many CPU threads the numerical libraries take."""

import contextlib
from collections.abc import Iterator

import numba
import torch


def limit_threads(count: int | None) -> None:
    """Give the compiled kernels of the calling thread ``count`` CPU threads, and torch one.

    Torch does only small things between the kernels here. Its own pool would wait for work on the
    cores that the kernels need: 500 iterations took 12 s with one torch thread and 27 to 41 s with
    two, on two busy cores.

    Args:
        count: None leaves both as they are set.
    """
    if count is None:
        return
    torch.set_num_threads(1)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


@contextlib.contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Give torch ``count`` CPU threads while a network runs, and no kernels of ours.

    Those it has already where that is None.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
