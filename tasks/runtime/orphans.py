"""Ending with the process that started this one, in whatever way that one ends."""

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator

OUTPUT = 1
SECONDS_TO_BE_TOLD = 1.0
SECONDS_TO_END = 10.0
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


@contextlib.contextmanager
def end_with_reader() -> Iterator[None]:
    """End this process when nobody reads the pipe at its standard output any more.

    For a process whose starter reads its output and is no program of ours. It gets SIGTERM while
    the block runs, and SIGKILL where it has not ended some seconds later. A reader that had gone
    before the block began is noticed, too; an output that is no pipe has no reader to lose.
    """
    ending = threading.Event()
    threading.Thread(target=_end_without_reader, args=(ending,), daemon=True).start()
    try:
        yield
    finally:
        ending.set()


def _end_without_reader(ending: threading.Event) -> None:
    output = select.poll()
    output.register(OUTPUT, 0)  # its loss is reported unasked
    ((_, lost),) = output.poll()
    if lost & select.POLLNVAL:  # there never was an output
        return
    # A reader that ends in order has sent SIGTERM itself; a second one would break into the end.
    if not ending.wait(SECONDS_TO_BE_TOLD):
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_END)
    os.kill(os.getpid(), signal.SIGKILL)
