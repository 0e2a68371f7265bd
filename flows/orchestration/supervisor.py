"""Supervised programs: restarted when they die, ended with the command that needs them."""

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
"""Lifetime after which a program counts as having started, which resets the back-off."""
SECONDS_TO_END = 20.0

Notify = Callable[[str], None]


def ignore(sentence: str) -> None:
    """The default of ``notify``: drops the sentence."""


@contextlib.contextmanager
def supervised(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    descriptors: Sequence[int] = (),
    unless: Callable[[], bool] = lambda: False,
    seconds_to_end: float = SECONDS_TO_END,
    notify: Notify = ignore,
) -> Iterator[None]:
    """Run a program while the block runs; restart it with exponential back-off when it dies.

    The program ends with the block: SIGTERM, then SIGKILL. If this process is killed, the kernel
    kills the program.

    Args:
        name: of the program in messages.
        log: file that its output is appended to.
        environment: its complete environment.
        descriptors: open files that it inherits.
        unless: whether another process provides the service now, so that none is started.
        seconds_to_end: between the two signals.
        notify: receives a sentence whenever the program dies.
    """
    ended = threading.Event()

    def supervise() -> None:
        wait = FIRST_WAIT_SECONDS
        while not ended.is_set():
            if unless():
                ended.wait(LONGEST_WAIT_SECONDS / 20)
                continue
            started = time.monotonic()
            process = _start(command, log, environment, descriptors)
            while process.poll() is None and not ended.wait(0.2):
                pass
            if process.poll() is None:
                _end(process, seconds_to_end)
                return
            lived = time.monotonic() - started
            wait = FIRST_WAIT_SECONDS if lived > SECONDS_OF_HEALTH else wait
            if not ended.is_set():
                notify(
                    f"{name} died after {lived:.0f} s (exit status {process.returncode}, see "
                    f"{log}); restart in {wait:g} s"
                )
            ended.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    # The thread that starts a process must outlive it: the kernel counts its end as the parent's.
    supervisor = threading.Thread(target=supervise, daemon=True)
    supervisor.start()
    try:
        yield
    finally:
        ended.set()
        supervisor.join()


def _start(
    command: Sequence[str], log: Path, environment: Mapping[str, str], descriptors: Sequence[int]
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        # A session of its own: Ctrl-C reaches us alone, and we end everything in order.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            pass_fds=descriptors,
            start_new_session=True,
            preexec_fn=functools.partial(die_with_parent, os.getpid()),
        )


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
