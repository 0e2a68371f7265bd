"""A file that somebody asked for, written whole or not at all."""

import tempfile
from pathlib import Path

from tasks.errors import InputError


def check_file(file: Path) -> None:
    """
    Raises:
        InputError: it cannot be written.
    """
    try:
        if file.is_dir():
            raise IsADirectoryError("it is a folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise InputError(
            f"'{file}' could not be written when the training ends ({error.strerror or error}); "
            "give another file"
        ) from error


def write_whole(file: Path, content: bytes) -> None:
    """All of it or nothing.

    Raises:
        InputError: it cannot be written.
    """
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(file)
    except OSError as error:
        raise InputError(
            f"'{file}' could not be written ({error.strerror or error}); make room or give another "
            "file, and run the same command again: all else is recalled"
        ) from error
