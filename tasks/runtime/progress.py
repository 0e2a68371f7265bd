"""Progress of a stage: its display in a terminal or a log, and the time left."""

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with the finished share, 0 to 1, and what is being done."""


def no_progress(share: float, doing: str) -> None:
    """Shows nothing."""


BAR = 24
SECONDS_BETWEEN_LINES = 60.0
"""In a log: often enough for a stage of hours, and readable."""
WINDOW_S = 30.0
"""Recent past that counts: the pace of a stage changes, as a splat's when it grows."""
SHORTEST_S = 2.0
"""Shortest past that allows an estimate."""


def progress_line(stage: str, in_logs: str | None = None) -> Progress:
    """A progress bar on standard error; a line each minute where that is no terminal.

    Args:
        in_logs: fuller name, since several stages may write one log; None for ``stage``.
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


class TimeLeft:
    """Estimate of the time left from the recent reports of the finished share."""

    def __init__(self) -> None:
        self._reports: deque[tuple[float, float]] = deque()

    def seconds(self, share: float, now: float) -> float | None:
        """Seconds to the end, or None where no estimate is possible yet.

        Args:
            share: finished, 0 to 1; what was finished at the first report does not count as work.
            now: seconds of any clock that never goes back.
        """
        reports = self._reports
        reports.append((now, share))
        while len(reports) > 2 and reports[1][0] <= now - WINDOW_S:
            reports.popleft()
        since, before = reports[0]
        if now - since < SHORTEST_S or share <= before:
            return None
        return (1 - share) * (now - since) / (share - before)


def in_words(seconds: float) -> str:
    """Such as ``40 s``, ``7 min`` or ``2 h 5 min``: no finer than it can be known."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
