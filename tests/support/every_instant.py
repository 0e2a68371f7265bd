"""The instants between the operations on files that a piece of code does, one after another."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

OPERATIONS = frozenset(
    {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}
)
"""Python says each of these before it does it (PEP 578), of whatever code."""

_looks: list[Callable[[str], None]] = []


def _say(event: str, _: tuple[Any, ...]) -> None:
    if event in OPERATIONS and _looks:
        look = _looks.pop()  # what it does itself is no operation of the code
        try:
            look(event)
        finally:
            _looks.append(look)


sys.addaudithook(_say)  # for good: there is no way to remove one


@contextlib.contextmanager
def at_every_instant(look: Callable[[str], None]) -> Iterator[None]:
    """Call ``look`` before each operation that the block does, by its name, and after the last."""
    _looks.append(look)
    try:
        yield
    finally:
        _looks.pop()
    look("end")
