"""Description of a refiner's file: an entry of JSON in the header of its safetensors."""

import json
from typing import Any

ENTRY = "unseen"
"""Key of the entry in the file's metadata."""
LENGTH = 8
"""Size of the header's length field, bytes; headers are padded to multiples of it."""


def description_in(content: bytes) -> dict[str, Any]:
    """Description in the content of a safetensors file; empty where it has none.

    Raises:
        ValueError: it is not a safetensors file.
    """
    metadata = _header(content).get("__metadata__", {})
    try:
        found = json.loads(metadata.get(ENTRY, "{}"))
    except RecursionError as error:
        raise ValueError("its description is nested too deeply") from error
    return found if isinstance(found, dict) else {}


def licensed(content: bytes, licence: str) -> bytes:
    """The same file with the licence of its weights in the description.

    Raises:
        ValueError: it is not a safetensors file.
    """
    header = _header(content)
    entry = json.dumps(description_in(content) | {"licence": licence})
    # One entry: the library would write several in an order that changes from run to run.
    encoded = json.dumps({**header, "__metadata__": {ENTRY: entry}}).encode()
    encoded += b" " * (-len(encoded) % LENGTH)
    weights = content[LENGTH + _header_length(content) :]
    return len(encoded).to_bytes(LENGTH, "little") + encoded + weights


def _header(content: bytes) -> dict[str, Any]:
    found = json.loads(content[LENGTH : LENGTH + _header_length(content)])
    if not isinstance(found, dict):
        raise ValueError("its header is no table")
    return found


def _header_length(content: bytes) -> int:
    return int.from_bytes(content[:LENGTH], "little")
