"""Names of scenes and runs, as people give them and as they stand in paths."""

import unicodedata
from hashlib import sha256
from urllib.parse import quote

from storage.errors import UnseenError

MAX_LENGTH = 120
"""Characters of a name in a path; file systems stop at 255 bytes and we add to it."""
_DIGEST_LENGTH = 16
_UNSHOWABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, halves of characters, line and paragraph separators."""


class NameRefusedError(UnseenError):
    """A name that cannot stand for a scene: give it another."""


def check_name(name: str) -> None:
    """Refuse what could be taken for a path or cannot be shown.

    Raises:
        NameRefusedError: the name is empty, `.`, `..`, or holds a slash or a control character.
    """
    unshowable = any(unicodedata.category(character) in _UNSHOWABLE for character in name)
    if name.strip() in ("", ".", "..") or "/" in name or "\\" in name or unshowable:
        raise NameRefusedError(
            f"the scene name {name!r} is empty, a relative path, or holds slashes or control "
            "characters, so no result could be stored under it; rename the scene"
        )


def showable(text: str) -> str:
    """Text of others as one may print it: control characters, which a terminal obeys, as escapes;
    ends of lines stay."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNSHOWABLE and character != "\n"
        else character
        for character in text
    )


def object_name(name: str) -> str:
    """A name as a path component: safe on every disk and object store, and one to one.

    Letters, digits, ``_``, ``-``, ``~`` and inner dots stay; the rest is percent-encoded. What
    would be too long is cut and closed with a digest of the whole.
    """
    content = name.encode("utf-8", "surrogatepass")
    encoded = quote(content, safe="") or "%"
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) < MAX_LENGTH:
        return encoded
    # Of exactly the length that no name has that was not cut, so the two never meet.
    kept = encoded[: MAX_LENGTH - _DIGEST_LENGTH - 1]
    return f"{kept}-{sha256(content).hexdigest()[:_DIGEST_LENGTH]}"
