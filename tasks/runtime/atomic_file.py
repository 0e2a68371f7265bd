"""Files outside the store, written atomically: whole, or not there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from tasks.errors import InputError, MachineError


@contextmanager
def atomic_file(file: Path) -> Iterator[BinaryIO]:
    """A file beside ``file`` to write to, renamed to it when the block ends.

    A killed writer leaves ``.<name>.<number>.partial``, never half of the file.

    Raises:
        MachineError: it cannot be written.
    """
    partial = file.with_name(f".{file.name}.{uuid4().hex[:12]}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as writing:
            yield writing
        partial.replace(file)
    except OSError as error:
        raise MachineError(
            f"'{file}' could not be written ({error.strerror or error}); free space or give "
            "another folder"
        ) from error
    finally:
        with suppress(OSError):  # it is not there, nor perhaps the folder
            partial.unlink()


def write_atomically(file: Path, content: bytes) -> None:
    """Write a whole file; see :func:`atomic_file`.

    Raises:
        MachineError: it cannot be written.
    """
    with atomic_file(file) as writing:
        writing.write(content)


def check_file(file: Path) -> None:
    """Refuse a file that cannot be written, before the work whose end it is.

    Raises:
        InputError: it cannot.
    """
    try:
        if file.is_dir():
            raise IsADirectoryError("it is a folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise InputError(
            f"'{file}' cannot be written ({error.strerror or error}); give another file"
        ) from error
