"""Who holds a lock file: for disks that machines share and whose flock each keeps to itself.

Such are NFS mounts with ``local_lock``, and several network file systems. There ``flock`` finds a
lock free that a process of another machine holds. So a holder writes its host, process and time
into a file and touches that file while it lives. Of the own machine flock is believed; of another
one, the file, until it has not been touched for a time.
"""

import contextlib
import json
import os
import socket
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

SECONDS_BETWEEN_TOUCHES = 30.0
SECONDS_OF_SILENCE = 900.0
"""After which a holder on another machine counts as dead: many times what a busy one is late."""

_touched: set[Path] = set()
_touching = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process on another machine that holds, or held, a lock."""

    host: str
    pid: int
    silent_s: float
    """Time since it last touched the file, by the clock of the disk."""

    @property
    def lives(self) -> bool:
        return self.silent_s < SECONDS_OF_SILENCE

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, which gave a sign of life {_ago(self.silent_s)}"


def signature() -> bytes:
    """What this process writes into the file of a lock that it holds."""
    fields = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "boot": _boot(),
        "since": datetime.now(UTC).isoformat(),
    }
    return json.dumps(fields).encode()


def holder_elsewhere(file: Path) -> Holder | None:
    """The holder that a file names, if it is on another machine; alive or not.

    None where there is no file, or one without a signature, as earlier versions left it. A process
    of this machine before it was started anew is none either: it is dead.
    """
    try:
        content = json.loads(file.read_bytes())
        host, pid, boot = str(content["host"]), int(content["pid"]), str(content["boot"])
        touched = file.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if host == socket.gethostname() or boot == _boot():
        return None
    return Holder(host=host, pid=pid, silent_s=max(0.0, _now_in(file.parent) - touched))


def keep_touching(file: Path) -> None:
    """Touch a file now and then until :func:`stop_touching`, or as long as this process lives."""
    with _touching:
        _touched.add(file)
    _start(os.getpid())


def stop_touching(file: Path) -> None:
    """See :func:`keep_touching`."""
    with _touching:
        _touched.discard(file)


@cache
def _start(pid: int) -> None:
    """Once a process: threads do not outlive a fork."""
    del pid
    threading.Thread(target=_touch, name="holders", daemon=True).start()


def _touch() -> None:
    wait = threading.Event()
    while not wait.wait(SECONDS_BETWEEN_TOUCHES):
        with _touching:
            files = list(_touched)
        for file in files:
            with contextlib.suppress(OSError):
                os.utime(file)


def _now_in(folder: Path) -> float:
    """The time of the disk, which may be another machine's."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return datetime.now(UTC).timestamp()


@cache
def _boot() -> str:
    """Of the kernel that runs us, whose flock all its processes share; empty if it tells none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"unknown on {socket.gethostname()}"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 90 else f"{seconds / 60:.0f} min ago"
