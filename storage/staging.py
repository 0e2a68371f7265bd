"""Folders to write in, of which anybody can tell whether their writer still lives.

A writer of this machine lives while it holds the flock of ``<name>.lock`` beside its folder; one of
another machine, whose flock may not be seen here, while it touches that file.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from storage.holders import holder_elsewhere, keep_touching, signature, stop_touching


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
        stop_touching(lock)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def remove_abandoned(parent: Path) -> int:
    """Delete the folders of writers that were killed; how many there were."""
    removed = 0
    for lock in parent.glob("*.lock"):
        folder = lock.with_suffix(".dir")
        with contextlib.suppress(OSError), _abandoned(lock):
            if folder.exists():
                shutil.rmtree(folder)
                removed += 1
            lock.unlink()  # last: until then the next sweep finishes what this one could not
    for unsigned in parent.glob("*.new"):  # killed before it had a lock
        with contextlib.suppress(OSError), _abandoned(unsigned):
            unsigned.unlink()
    for folder in _without_lock(parent):
        shutil.rmtree(folder, ignore_errors=True)
        removed += not folder.exists()
    return removed


def find_abandoned(parent: Path) -> list[Path]:
    """The folders that :func:`remove_abandoned` would delete."""
    found = _without_lock(parent)
    for lock in sorted(parent.glob("*.lock")):
        folder = lock.with_suffix(".dir")
        with contextlib.suppress(OSError), _abandoned(lock):
            if folder.exists():
                found.append(folder)
    return found


@contextlib.contextmanager
def _abandoned(lock: Path) -> Iterator[None]:
    """Hold the lock of a writer that is no more.

    Raises:
        OSError: it lives.
    """
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (found := holder_elsewhere(lock)) and found.lives:
            raise BlockingIOError(f"{lock} is held by {found}")
        yield


def _without_lock(parent: Path) -> list[Path]:
    """Folders that their writer could not delete wholly when it ended: it takes the lock first."""
    return [
        folder
        for folder in sorted(parent.glob("*.dir"))
        if folder.is_dir() and not folder.with_suffix(".lock").exists()
    ]


def _new_lock(parent: Path) -> tuple[int, Path]:
    """A file with our signature that we hold; it has its name from then on."""
    while True:
        descriptor, name = tempfile.mkstemp(suffix=".new", dir=parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, signature())
        lock = Path(name).with_suffix(".lock")
        try:
            Path(name).replace(lock)
        except FileNotFoundError:  # a sweep took it for abandoned before it was locked
            os.close(descriptor)
            continue
        keep_touching(lock)
        return descriptor, lock
