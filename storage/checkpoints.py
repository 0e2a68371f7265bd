"""What a stage under way has reached: one file, never to be taken for a finished artefact."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import IO

from storage import files
from storage.arrays import Store
from storage.errors import IntegrityError

SCHEMA = 1
"""Version of the layout below; a checkpoint of another one is not read."""
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The checkpoint of one piece of work, ``<store>/checkpoints/<key>``.

    A line with the schema, a line with the key, what the stage wrote, and the sha256 of all that.
    It is replaced at once or not at all, so a killed writer leaves the one before.
    """

    store: Store
    key: str
    """Tells all that changes the work's result, so that nothing goes on from a foreign state."""

    def save(self, write: Callable[[IO[bytes]], object]) -> None:
        """Replace the checkpoint by what ``write`` writes, in order, to the file it is given.

        Raises:
            StoreError: the store is full or cannot be written.
        """
        with files.replacing(self.store, self._place) as file:
            digesting = _Digesting(file)
            digesting.write(self._head)
            write(digesting)  # type: ignore[arg-type]
            file.write(digesting.digest())

    def load(self) -> bytes | None:
        """What was written last, verified; None where there is none.

        Raises:
            IntegrityError: it is cut off, damaged, of another schema or of other work.
            StoreError: the store cannot be reached.
        """
        try:
            content = memoryview(files.get(self.store, self._place))
        except FileNotFoundError:
            return None
        head, body, digest = (
            content[: len(self._head)],
            content[len(self._head) : -DIGEST_BYTES],
            content[-DIGEST_BYTES:],
        )
        if sha256(content[:-DIGEST_BYTES]).digest() != digest:
            raise IntegrityError(
                f"the checkpoint {self._place} of {len(content)} bytes is damaged, its sha256 is "
                "not the one at its end; the stage starts from its beginning"
            )
        if head != self._head:
            raise IntegrityError(
                f"the checkpoint {self._place} is of another piece of work, or not of schema "
                f"{SCHEMA}; the stage starts from its beginning"
            )
        return bytes(body)

    def remove(self) -> None:
        """Delete it, if there is one.

        Raises:
            StoreError: the store cannot be written.
        """
        files.remove(self.store, self._place)

    @property
    def _place(self) -> str:
        return f"checkpoints/{self.key}"

    @property
    def _head(self) -> bytes:
        return f"unseen checkpoint {SCHEMA}\n{self.key}\n".encode()


class _Digesting:
    """A file to write to from beginning to end, that knows the sha256 of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = sha256()

    def write(self, content: bytes | memoryview) -> int:
        self._digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> bytes:
        return self._digest.digest()
