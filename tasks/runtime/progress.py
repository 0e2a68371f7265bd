"""Progress of a stage, for people who look at a terminal or at what a command left in a log."""

import shutil
import sys
import time

from tasks.runtime.context import Progress

BAR = 24
SECONDS_BETWEEN_LINES = 60.0
"""In a log: it stays readable, and a stage of hours is seen to go on."""


def progress_line(stage: str, in_logs: str | None = None) -> Progress:
    """A line that is written over again; where standard error is no terminal, a new one each
    minute.

    Args:
        in_logs: a fuller name for them, as several stages may write one log; None for the same.
    """
    return _over_again(stage) if sys.stderr.isatty() else _each_minute(in_logs or stage)


def _over_again(stage: str) -> Progress:
    def report(share: float, doing: str) -> None:
        done = round(BAR * share)
        line = f"{stage:>9} {'█' * done}{'░' * (BAR - done)} {share:4.0%} {doing}"
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r\x1b[K" + line[:width] + ("\n" if share >= 1.0 else ""))
        sys.stderr.flush()

    return report


def _each_minute(name: str) -> Progress:
    told_at = time.monotonic()

    def report(share: float, doing: str) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at >= SECONDS_BETWEEN_LINES:
            told_at = now
            print(f"{name}: {share:.0%} {doing}", file=sys.stderr, flush=True)

    return report
