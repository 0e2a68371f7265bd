"""Programs that are kept running: started again when they die, ended with us."""

import contextlib
import functools
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tasks.runtime.orphans import die_with_parent

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
SECONDS_OF_HEALTH = 60.0
"""A program that lived for so long had come up; what ended it then is another matter."""
SECONDS_TO_END = 20.0

Told = Callable[[str], None]


def tell_nobody(sentence: str) -> None:
    """The default of what is told."""


@contextlib.contextmanager
def kept_running(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    unless: Callable[[], bool] = lambda: False,
    seconds_to_end: float = SECONDS_TO_END,
    tell: Told = tell_nobody,
) -> Iterator[None]:
    """Keep a program running while the block runs; it is restarted ever later when it dies again.

    It ends with the block: SIGTERM, then SIGKILL where that does not end it. Where this process is
    killed, the kernel kills it.

    Args:
        name: what people call the program.
        log: file that its output is appended to.
        environment: all of its variables.
        unless: whether somebody else does its work now, so that it is not started.
        seconds_to_end: between the two signals.
        tell: told, in a sentence, that it died.
    """
    ended = threading.Event()

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            # A session of its own: Ctrl-C reaches us alone, and we end everything in order.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=functools.partial(die_with_parent, os.getpid()),
            )

    def keep() -> None:
        wait = FIRST_WAIT_SECONDS
        while not ended.is_set():
            if unless():
                ended.wait(LONGEST_WAIT_SECONDS / 20)
                continue
            started = time.monotonic()
            process = start()
            while process.poll() is None and not ended.wait(0.2):
                pass
            if process.poll() is None:
                _end(process, seconds_to_end)
                return
            lived = time.monotonic() - started
            wait = FIRST_WAIT_SECONDS if lived > SECONDS_OF_HEALTH else wait
            if not ended.is_set():
                tell(
                    f"{name} died after {lived:.0f} s (exit status {process.returncode}, see "
                    f"{log}); it is started again in {wait:g} s"
                )
            ended.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    # The thread that starts a process must outlive it: the kernel counts its end as the parent's.
    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
