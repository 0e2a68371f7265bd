"""The child's half of :mod:`tasks.sfm.process`; imports nothing that takes time to load."""

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage.errors import UnseenError
from tasks.runtime.orphans import die_with_parent

Report = Callable[[float, str], None]
"""Called with the finished share, 0 to 1, and what is being done."""


def part(report: Report, start: float, end: float) -> Report:
    """Report of a part of the work: its share 0..1 is shown as ``start``..``end``."""
    return lambda share, doing: report(start + (end - start) * share, doing)


def serve(work: Callable[[Path, Report], None]) -> None:
    """Call ``work`` with the work folder and a way to report progress; report what it raises."""
    reports = _take_over_output()
    _end_with_parent()

    def send(content: dict[str, Any]) -> None:
        os.write(reports, json.dumps(content).encode() + b"\n")

    try:
        work(
            Path(sys.argv[1]),
            lambda fraction, message: send({"fraction": fraction, "message": message}),
        )
    except UnseenError as error:
        kind = type(error)
        send({"error": {"module": kind.__module__, "class": kind.__name__, "message": str(error)}})
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _take_over_output() -> int:
    """Keep standard output for reports: whatever native code prints goes to standard error."""
    reports = os.dup(1)
    os.dup2(2, 1)
    return reports


def _end_with_parent() -> None:
    """The thread works everywhere, and where the parent died before the kernel was asked."""
    die_with_parent()
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()


def _exit_at_end_of_input() -> None:
    # os.read, not sys.stdin: a daemon thread inside a buffered read breaks a normal exit.
    while os.read(0, 4096):
        pass
    os._exit(1)
