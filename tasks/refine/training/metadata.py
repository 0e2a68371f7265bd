"""What a refiner's file says of itself: an entry of JSON in the header of its safetensors."""

import json
from typing import Any

ENTRY = "unseen"
"""Of the file's metadata."""
LENGTH = 8
"""Bytes that say how long the header is; headers are a multiple of as many."""


def description_in(content: bytes) -> dict[str, Any]:
    """What the content of a safetensors file says; nothing where it is not ours.

    Raises:
        ValueError: it is no such file.
    """
    metadata = _header(content).get("__metadata__", {})
    found = json.loads(metadata.get(ENTRY, "{}"))
    return found if isinstance(found, dict) else {}


def licensed(content: bytes, licence: str) -> bytes:
    """The same file, but that it says what the licence of its weights is.

    Raises:
        ValueError: it is no safetensors file.
    """
    header = _header(content)
    said = json.dumps(description_in(content) | {"licence": licence})
    # One entry: the library would write several in an order that changes from run to run.
    encoded = json.dumps({**header, "__metadata__": {ENTRY: said}}).encode()
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
