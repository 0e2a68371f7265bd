"""Work in a process of its own, so that a crash of native code costs an attempt, not the scene.

This is the parent's half, :mod:`tasks.sfm.child` the other. Files in a work folder carry requests
and results; the child's standard output carries one JSON object a line, its progress or its error.
Standard error is kept in a file and quoted where the child dies.
"""

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

from storage.errors import UnseenError
from tasks.errors import MachineError
from tasks.runtime.progress import Progress

_POLL_S = 0.2


def run_child(module: str, work_folder: Path, *, threads: int, progress: Progress) -> None:
    """Run ``python -m module work_folder`` to its end.

    The child lives no longer than this call: it is killed when the call is left by an exception
    (an interrupt, a cancelled run, an error in ``progress``), and it ends itself when this process
    dies.

    Args:
        module: found on this process's import path; calls :func:`tasks.sfm.child.serve` when run.
        work_folder: holds the request before and the result after.
        threads: what OpenMP and BLAS in the child may use.
        progress: called in this thread for every report of the child.

    Raises:
        UnseenError: of the same class and with the same message, where the child raised one.
        MachineError: the child was killed, crashed or failed otherwise.
    """
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
    with tempfile.TemporaryFile() as log:
        # Standard input is a pipe that nothing is written to: the child sees it close when we die.
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(work_folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
        )
        try:
            error = _follow(child, progress)
            code = child.wait()
        finally:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        if error is not None:
            raise error
        if code != 0:
            raise MachineError(_cause_of_death(module, code, _last_words(log)))


def _follow(child: "subprocess.Popen[bytes]", progress: Progress) -> UnseenError | None:
    """Forward progress until the child closes its output; the error it reported, if any."""
    assert child.stdout is not None
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(child.stdout, lines), daemon=True).start()
    error = None
    while True:
        try:
            # Waking up now and then lets an exception that was set for this thread from outside
            # (how a run is cancelled) come through; a blocking read would hold it back.
            line = lines.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if line is None:
            return error
        report = json.loads(line)
        if "error" in report:
            error = _error_from(report["error"])
        else:
            progress(report["fraction"], report["message"])


def _read_lines(stream: IO[bytes], lines: "queue.SimpleQueue[bytes | None]") -> None:
    try:
        for line in stream:
            if line.endswith(b"\n"):  # a killed child may leave half a line
                lines.put(line)
    finally:
        lines.put(None)


def _error_from(report: dict[str, str]) -> UnseenError:
    found = getattr(importlib.import_module(report["module"]), report["class"])
    assert issubclass(found, UnseenError), found
    return found(report["message"])


def _last_words(log: IO[bytes], limit: int = 400) -> str:
    log.seek(max(log.seek(0, os.SEEK_END) - 8 * limit, 0))
    lines = log.read().decode(errors="replace").split("\n")
    return " / ".join(line.strip() for line in lines if line.strip())[-limit:]


def _cause_of_death(module: str, code: int, last_words: str) -> str:
    last = f" (its last words: {last_words})" if last_words else ""
    if code == -signal.SIGKILL:
        return (
            f"the process of {module} was killed by signal 9 (SIGKILL), probably because the "
            "machine ran out of memory; free some or allow smaller photos, and run the scene again"
        )
    if code < 0:
        name = signal.Signals(-code).name
        return (
            f"the process of {module} was ended by signal {-code} ({name}){last}; run the scene "
            "again, only this attempt is lost"
        )
    return (
        f"the process of {module} ended with exit code {code}{last}; run the scene again, and "
        "report this if it comes back"
    )
