"""A file that is whole or not there."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from tasks.errors import MachineError


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """A file beside ``file`` to write to, which takes its place when all is written.

    What is killed meanwhile leaves ``.<name>.<number>.partial``, which nobody takes for a splat.

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
