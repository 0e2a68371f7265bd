"""The PLY file of an initial splat, found without importing its reader."""

from collections.abc import Sequence
from pathlib import Path

from tasks.depth.config import DenseConfig
from tasks.errors import InputError
from tasks.ingest.containment import is_inside
from tasks.source import Source
from tasks.splat.config import Ply, Points


def find_start(
    folder: Path, init: DenseConfig | Points | Ply, roots: Sequence[Path] = ()
) -> Source | None:
    """The PLY file of a fit's initial splat, by its content; None where the fit starts from points.

    Args:
        folder: the scene's folder, or its video.
        roots: folders that the file may lie in, beside the scene's own.

    Raises:
        InputError: the file cannot be read, or lies elsewhere.
    """
    if not isinstance(init, Ply):
        return None
    place = folder if folder.is_dir() else folder.parent
    path = place / init.file
    if not is_inside(path, (place, *roots)):
        raise InputError(
            f"'{init.file}', which splat.init says that the fit starts from, leads out of the "
            f"scene's folder '{place}', so it is not read; copy it there, or name the folder that "
            "it lies in in UNSEEN_PHOTO_ROOTS"
        )
    try:
        return Source.of_file(path)
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read ({error.strerror or error}), and splat.init says that the "
            "fit starts from it; put the splat there, or set splat.init.kind to 'dense'"
        ) from error
