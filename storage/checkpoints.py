"""What a stage under way has reached: one file, never to be taken for a finished artefact."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from typing import BinaryIO

from storage import files
from storage.errors import IntegrityError
from storage.store import Store

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

    def save(self, write: Callable[[BinaryIO], object]) -> None:
        """Replace the checkpoint by what ``write`` adds to the file it is given.

        Raises:
            StoreError: the store is full or cannot be written.
            Exception: what ``write`` raises otherwise.
        """
        with files.replacing(self.store, self._place) as file:
            file.write(self._head)
            write(file)
            file.seek(0)
            digest = file_digest(file, "sha256").digest()  # leaves the file at its end
            file.write(digest)

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
