"""Progress of a stage on one line of a terminal."""

import shutil
import sys

from tasks.site import Progress, no_progress

BAR = 24


def progress_line(stage: str) -> Progress:
    """A line that is written over again; nothing where standard error is no terminal."""
    if not sys.stderr.isatty():
        return no_progress

    def report(share: float, doing: str) -> None:
        done = round(BAR * share)
        line = f"{stage:>9} {'█' * done}{'░' * (BAR - done)} {share:4.0%} {doing}"
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r\x1b[K" + line[:width] + ("\n" if share >= 1.0 else ""))
        sys.stderr.flush()

    return report
