"""Parts of artefacts: stored cameras, and sequences read on demand.

Cameras are the arrays ``camera_from_world``, ``intrinsics`` and ``sizes``; their names are among
the attributes, in each artefact's own way.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

from storage.handles import ArrayHandle
from storage.store import NamedArray
from tasks.cameras import Cameras


def arrays_of(cameras: Cameras, *, dim: str) -> Iterator[NamedArray]:
    """
    Args:
        dim: what the dimension along the cameras is called.
    """
    for name, values, dims in (
        ("camera_from_world", cameras.camera_from_world, ("row", "column")),
        ("intrinsics", cameras.intrinsics, ("pixel_row", "pixel_column")),
        ("sizes", cameras.sizes, ("width_height",)),
    ):
        yield NamedArray(name=name, values=values, dims=(dim, *dims))


def read_cameras(stored: ArrayHandle, names: Sequence[str]) -> Cameras:
    return Cameras(
        names=tuple(names),
        camera_from_world=stored.array("camera_from_world"),
        intrinsics=stored.array("intrinsics"),
        sizes=stored.array("sizes"),
    )


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
