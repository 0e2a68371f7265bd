"""How cameras lie in an artefact: ``camera_from_world``, ``intrinsics`` and ``sizes``.

Their names are among the attributes, each artefact's in its own way.
"""

from collections.abc import Iterator, Sequence

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
