"""Sequences too large to be held."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

Item = TypeVar("Item")


class Lazy(Sequence[Item], Generic[Item]):
    """Items that are read whenever they are asked for."""

    def __init__(self, count: int, read: Callable[[int], Item]) -> None:
        self._count = count
        self._read = read

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> "Lazy[Item]": ...

    def __getitem__(self, index: int | slice) -> "Item | Lazy[Item]":
        chosen = range(self._count)[index]
        if isinstance(chosen, range):
            return Lazy(len(chosen), lambda place: self._read(chosen[place]))
        return self._read(chosen)
