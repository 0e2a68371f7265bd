"""Limits of a stage: its time, past which the process ends, and its peak memory, measured."""

import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType

import psutil

SECONDS_TO_REPORT = 60.0
"""After the limit; then the kernel ends the process, reported or not."""


@contextlib.contextmanager
def time_limit(seconds: float, on_timeout: Callable[[], None]) -> Iterator[None]:
    """End this process with exit status 1 if the block takes longer; for the main thread.

    A busy thread cannot be stopped, so the process ends. Where native code hangs and holds the
    interpreter's lock, the callback cannot run either: the kernel's SIGALRM then ends the process
    some seconds later.

    Args:
        seconds: 0 for no limit.
        on_timeout: called before the process ends, on another thread.
    """
    if not seconds:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        if not ended.wait(seconds):
            try:
                on_timeout()
            except Exception:
                traceback.print_exc()  # nobody else would ever see it
            finally:
                os._exit(1)

    watcher = threading.Thread(target=watch, daemon=True)
    # Prefect handles the signal in Python, which would wait for the interpreter, too.
    handler = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + SECONDS_TO_REPORT)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


class PeakMemory:
    """The largest memory of this process and its children while the block runs, by sampling."""

    SECONDS_BETWEEN_SAMPLES = 0.2

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._sampler.join()

    def _sample(self) -> None:
        process = psutil.Process()
        while True:
            resident = 0
            for one in (process, *process.children(recursive=True)):
                try:
                    resident += one.memory_info().rss
                except psutil.Error:  # a child that ended meanwhile
                    continue
            self.peak_mib = max(self.peak_mib, resident / 2**20)
            if self._ended.wait(self.SECONDS_BETWEEN_SAMPLES):
                return
