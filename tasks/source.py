"""The input of a scene, by address and digest."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A scene's folder or video, or a file beside it, and what is in it: equal digests mean equal
    input, wherever it lies."""

    folder: str
    """Or file."""
    digest: str
    """sha256, hexadecimal."""
