"""Ending with the process that started this one, in whatever way that one ends."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel kill this process when its parent dies (Linux only; nothing elsewhere).

    SIGKILL also ends native code that holds the interpreter's lock. It comes when the *thread* that
    started this process ends, so that one must live on; and a milder signal would come several
    times, once for every thread of a parent that is killed.

    Args:
        parent: its id; where it has died already, this process is killed now.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
