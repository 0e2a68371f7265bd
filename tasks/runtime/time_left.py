"""How long the rest of a stage takes, from how fast it went lately."""

from collections import deque

WINDOW_S = 30.0
"""Of the past that counts: stages change their pace, as a splat does when it grows."""
SHORTEST_S = 2.0
"""Of the past from which anything can be said."""


class TimeLeft:
    """Takes every report of the finished share and says what the rest will take."""

    def __init__(self) -> None:
        self._reports: deque[tuple[float, float]] = deque()

    def seconds(self, share: float, now: float) -> float | None:
        """Seconds to the end, or None where that cannot be said yet.

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
