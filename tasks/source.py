"""The input of a scene, by address and digest."""

import errno
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A scene's folder or video, or a file beside it, and what is in it: equal digests mean equal
    input, wherever it lies."""

    folder: str
    """Or file."""
    digest: str
    """sha256, hexadecimal."""

    @classmethod
    def of_file(cls, path: Path) -> "Source":
        """One file.

        Raises:
            OSError: it cannot be read, or is no regular file: a pipe would be waited for, and a
                device has no end.
        """
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "not a regular file")
        with path.open("rb") as file:
            return cls(folder=str(path), digest=file_digest(file, "sha256").hexdigest())
