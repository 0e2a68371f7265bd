"""Locks between this user's processes: exclusive work, and liveness.

Prefect's home may lie on a disk that machines share, such as a home folder on NFS, whose flock may
be each machine's own. So ``<name>.lock`` is locked, which tells of this machine at once, and
``<name>.holder`` beside it names the holder to the others; see :mod:`storage.holders`.
"""

import atexit
import contextlib
import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from flows.settings import prefect_home
from storage.holders import (
    Holder,
    holder_elsewhere,
    keep_touching,
    signature,
    stop_touching,
)
from tasks.errors import InputError, MachineError

SECONDS_BETWEEN_LOOKS = 1.0
"""At a lock that a process of another machine holds: nothing tells us of its release."""

_held: set[Path] = set()
"""Locks that this process holds."""
_held_until_exit: list[TextIO] = []
"""Open files of locks that this process holds until it exits."""


@contextlib.contextmanager
def lock(name: str, *, refused: str | None = None) -> Iterator[None]:
    """Hold a lock, exclusive among this user's processes, while the block runs. Reentrant.

    Args:
        refused: message of the error if another process holds it; None to wait.

    Raises:
        InputError: another process holds it, and ``refused`` is given.
        MachineError: Prefect's home cannot be written.
    """
    file = _lock_file(name)
    if file in _held:
        yield
        return
    with _opened(file) as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | (fcntl.LOCK_NB if refused else 0))
        except BlockingIOError as error:
            raise InputError(refused) from error
        holder = _sign(file, refused)
        _held.add(file)
        try:
            yield
        finally:
            _held.remove(file)
            _unsign(holder)


def lock_until_exit(name: str) -> None:
    """Hold a lock until this process ends, in whatever way; see :func:`is_free`.

    Raises:
        MachineError: Prefect's home cannot be written.
    """
    file = _lock_file(name)
    opened = _opened(file)
    fcntl.flock(opened, fcntl.LOCK_EX)
    atexit.register(_unsign, _sign(file, None))
    _held_until_exit.append(opened)


def forget_lock(name: str) -> None:
    """Remove the files of a lock that no process will hold again."""
    file = _lock_file(name)
    for one in (file, _holder_file(file)):
        with contextlib.suppress(OSError):
            one.unlink()


def is_free(name: str) -> bool:
    """Whether a lock was held and is released; False if it never was held.

    A process that was killed on another machine counts as holding it until it has been silent for
    :data:`storage.holders.SECONDS_OF_SILENCE`.
    """
    file = _lock_file(name)
    if file in _held:
        return False
    with contextlib.suppress(OSError), file.open("r") as opened:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)  # raises while it is held
        return not _is_held_elsewhere(file)
    return False


def is_held(name: str) -> bool:
    """Whether a process holds a lock, on this machine or, as far as is known, on another."""
    file = _lock_file(name)
    try:
        with file.open("r") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return _is_held_elsewhere(file)


def _sign(file: Path, refused: str | None) -> Path:
    """Name this process as the holder of a lock that no other one of this machine holds.

    Raises:
        InputError: a process of another machine holds it, and ``refused`` is given.
        MachineError: Prefect's home cannot be written.
    """
    target = _holder_file(file)
    try:
        while not _linked(target):
            found = holder_elsewhere(target)
            if found is None or not found.lives:
                _take_over(target, found)
            elif refused:
                raise InputError(f"{refused}; it is {found}")
            else:
                time.sleep(SECONDS_BETWEEN_LOOKS)
    except OSError as error:
        raise _unwritable(error) from error
    keep_touching(target)
    return target


def _linked(target: Path) -> bool:
    """Whether the file was made with our signature, at once; False where there is one."""
    descriptor, name = tempfile.mkstemp(dir=target.parent)
    try:
        os.write(descriptor, signature())
        os.link(name, target)  # unlike flock, exclusive on every disk
    except FileExistsError:
        return False
    finally:
        os.close(descriptor)
        Path(name).unlink()
    return True


def _take_over(target: Path, dead: Holder | None) -> None:
    """Remove the file of a dead holder; a living one that came between gets it back."""
    aside = target.with_name(f"{target.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        target.rename(aside)
        found = holder_elsewhere(aside)
        if found and found.lives:
            with contextlib.suppress(FileExistsError):
                os.link(aside, target)
        elif dead:
            lock_name = target.name.removesuffix(".holder")
            print(f"unseen: took over the lock '{lock_name}' of {dead}", file=sys.stderr)
        aside.unlink()


def _unsign(target: Path) -> None:
    stop_touching(target)
    if holder_elsewhere(target) is None:  # else we were silent for too long, and it is another's
        with contextlib.suppress(OSError):
            target.unlink()


def _is_held_elsewhere(file: Path) -> bool:
    found = holder_elsewhere(_holder_file(file))
    return found is not None and found.lives


def _opened(file: Path) -> TextIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("w")
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> MachineError:
    return MachineError(
        f"Prefect's home {prefect_home()} cannot be written ({error.strerror}), where its "
        "server keeps its database; set PREFECT_HOME to a folder that can"
    )


def _lock_file(name: str) -> Path:
    return prefect_home() / "unseen-locks" / f"{name}.lock"


def _holder_file(file: Path) -> Path:
    return file.with_suffix(".holder")
