"""Ending a process whose work goes on for too long, whatever it hangs on."""

import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator

SECONDS_TO_TELL = 60.0
"""After the limit; then the kernel ends the process, told or not."""


@contextlib.contextmanager
def time_limit(seconds: float, tell: Callable[[], None]) -> Iterator[None]:
    """End this process with exit status 1 if the block takes longer; for the main thread.

    Nothing can stop a thread that is busy, so the process goes. Where native code hangs that holds
    the interpreter's lock, nobody can be told either: the kernel's SIGALRM ends the process some
    seconds later.

    Args:
        seconds: 0 for no limit.
        tell: called before the process ends, on another thread.
    """
    if not seconds:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        if not ended.wait(seconds):
            try:
                tell()
            except Exception:
                traceback.print_exc()  # nobody else would ever see it
            finally:
                os._exit(1)

    watcher = threading.Thread(target=watch, daemon=True)
    # Prefect handles the signal in Python, which would wait for the interpreter, too.
    handler = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + SECONDS_TO_TELL)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
