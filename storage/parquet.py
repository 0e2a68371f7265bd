"""Parquet files that know their own sha256, and that any tool reads as before.

Parquet's page checksums leave the footer out, and a flipped bit there can lose a column without a
word. So the footer holds the sha256 of the whole file, taken while zeros stood in its place.
"""

import io
import re
from collections.abc import Sequence
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import IntegrityError

_KEY = "unseen.sha256"
_BLANK = "0" * 64
_SEAL = re.compile(rb"unseen\.sha256.{1,4}?([0-9a-f]{64})", re.DOTALL)
"""The key, a few bytes of its encoding, the value."""


def to_bytes(rows: pa.Table) -> bytes:
    """A parquet file with these rows."""
    buffer = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata({_KEY: _BLANK}), buffer)
    content = buffer.getvalue()
    found = _seal(content)
    assert found is not None, "the footer holds what was put in"
    start, end = found.span(1)
    return content[:start] + sha256(content).hexdigest().encode() + content[end:]


def check(content: bytes, name: str) -> None:
    """Refuse a damaged file; see :func:`from_bytes`."""
    if not _is_sealed(content, name):
        from_bytes(content, name)


def from_bytes(content: bytes, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a parquet file; one without a sha256, as others write it, is read unchecked.

    Args:
        name: what the file is called in messages.
        columns: those to read, where the file has them; None for all.

    Raises:
        IntegrityError: it is damaged.
    """
    _is_sealed(content, name)
    try:
        # From Arrow's own buffer and in this thread: its threads may outlive the call, and a
        # process that ends meanwhile is aborted or hangs (github.com/apache/arrow, issues 33975
        # and 34314).
        file = pq.ParquetFile(pa.BufferReader(content))
        rows: pa.Table = file.read(columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, content, " ".join(str(error).split())) from error
    return rows.replace_schema_metadata(None)


def _is_sealed(content: bytes, name: str) -> bool:
    """Whether a file holds its sha256.

    Raises:
        IntegrityError: it holds another one.
    """
    # A flipped bit in the key or in a digit makes a file without a sha256 of one whose rows are
    # whole: such a bit is not in them.
    found = _seal(content)
    if not found:
        return False
    start, end = found.span(1)
    blank = content[:start] + _BLANK.encode() + content[end:]
    if sha256(blank).hexdigest().encode() != found[1]:
        raise _damaged(name, content, "its sha256 is not the one in its footer")
    return True


def _seal(content: bytes) -> re.Match[bytes] | None:
    """The last one, because a text among the rows may look like one."""
    found = list(_SEAL.finditer(content))
    return found[-1] if found else None


def _damaged(name: str, content: bytes, why: str) -> IntegrityError:
    return IntegrityError(
        f"{name} of {len(content)} bytes is damaged ({why}), so its rows cannot be read; delete "
        "it, then 'unseen resume' with the run's name writes its scenes' rows again"
    )
