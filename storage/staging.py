"""Folders to write in, of which anybody can tell whether their writer still lives."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked_folder(parent: Path) -> Iterator[Path]:
    """A new folder in ``parent``; what is to last is renamed out of it, the rest goes at the end.

    Raises:
        OSError: it cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    descriptor, lock = _new_lock(parent)
    folder = lock.with_suffix(".dir")
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def remove_abandoned(parent: Path) -> int:
    """Delete the folders of writers that were killed; how many there were."""
    removed = 0
    for lock in parent.glob("*.lock"):
        folder = lock.with_suffix(".dir")
        with contextlib.suppress(OSError), lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its writer lives
            if folder.exists():
                shutil.rmtree(folder)
                removed += 1
            lock.unlink()  # last: until then the next sweep finishes what this one could not
    return removed


def _new_lock(parent: Path) -> tuple[int, Path]:
    while True:
        descriptor, name = tempfile.mkstemp(suffix=".lock", dir=parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        lock = Path(name)
        if lock.exists():
            return descriptor, lock
        os.close(descriptor)  # a sweep took it for abandoned before it was locked
