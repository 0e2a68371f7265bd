"""The file that a fit starts from, found without what reads it."""

from hashlib import file_digest
from pathlib import Path

from tasks.errors import InputError
from tasks.ingest.source import Source
from tasks.splat.config import Ply, Points
from tasks.splat.dense.config import DenseConfig


def find_start(folder: Path, init: DenseConfig | Points | Ply) -> Source | None:
    """The file that a fit starts from, by its content; None where it starts from points.

    Args:
        folder: of the scene, or its video.

    Raises:
        InputError: the file cannot be read.
    """
    if not isinstance(init, Ply):
        return None
    path = (folder if folder.is_dir() else folder.parent) / init.file
    try:
        with path.open("rb") as file:
            return Source(folder=str(path), digest=file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read ({error.strerror or error}), and splat.init says that the "
            "fit starts from it; put the splat there, or set splat.init.kind to 'dense'"
        ) from error
