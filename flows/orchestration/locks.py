"""Locks between the processes of this machine: exclusive work, and liveness."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from flows.settings import prefect_home
from tasks.errors import InputError, MachineError

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
        _held.add(file)
        try:
            yield
        finally:
            _held.remove(file)


def lock_until_exit(name: str) -> None:
    """Hold a lock until this process ends, in whatever way; see :func:`is_free`.

    Raises:
        MachineError: Prefect's home cannot be written.
    """
    opened = _opened(_lock_file(name))
    fcntl.flock(opened, fcntl.LOCK_EX)
    _held_until_exit.append(opened)


def forget_lock(name: str) -> None:
    """Remove the file of a lock that no process will hold again."""
    with contextlib.suppress(OSError):
        _lock_file(name).unlink()


def is_free(name: str) -> bool:
    """Whether a lock was held on this machine and is released; False if it never was held."""
    if _lock_file(name) in _held:
        return False
    with contextlib.suppress(OSError), _lock_file(name).open("r") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # raises while it is held
        return True
    return False


def is_held(name: str) -> bool:
    """Whether a process of this machine holds a lock."""
    try:
        with _lock_file(name).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _opened(file: Path) -> TextIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("w")
    except OSError as error:
        raise MachineError(
            f"Prefect's home {prefect_home()} cannot be written ({error.strerror}), where its "
            "server keeps its database; set PREFECT_HOME to a folder that can"
        ) from error


def _lock_file(name: str) -> Path:
    return prefect_home() / "unseen-locks" / f"{name}.lock"
