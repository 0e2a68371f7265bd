"""Keeping to the folders that were named: no link leads out of them."""

from collections.abc import Sequence
from pathlib import Path

from tasks.errors import InputError
from tasks.ingest.source import SceneFiles, find_files, reference_files


def is_inside(path: Path, roots: Sequence[Path]) -> bool:
    """Whether what a path leads to, links followed, lies in one of the folders."""
    leads_to = _led(path)
    return any(leads_to.is_relative_to(_led(root)) for root in roots)


def files_inside(folder: Path, roots: Sequence[Path]) -> SceneFiles:
    """The files of a scene; one with links out of its folder is refused before any is read.

    Args:
        folder: of the scene, or its video, which may be a link itself.
        roots: folders that links may lead to beside the scene's own.

    Raises:
        InputError: a file of the scene is, or stands behind, a link to elsewhere; or as
            :func:`tasks.ingest.source.find_files`.
    """
    _refuse_outside(folder, reference_files(folder), roots)
    files = find_files(folder)  # reads the camera files for the photos that they name
    _refuse_outside(
        folder,
        [
            *(photo.path for photo in files.photos),
            *files.videos,
            *files.depth.values(),
            *files.masks.values(),
        ],
        roots,
    )
    return files


def _refuse_outside(folder: Path, files: Sequence[Path], roots: Sequence[Path]) -> None:
    allowed = (folder, *roots)
    # A link to nowhere is not followed: it is refused as a file that cannot be read.
    outside = [path for path in files if path != folder and not is_inside(path, allowed)]
    if outside:
        raise InputError(
            f"{len(outside)} files in '{folder}' are links out of it, the first "
            f"'{outside[0].name}' to {_led(outside[0])}, so they are not read; copy them into the "
            "scene, or name the folder that they lie in in UNSEEN_PHOTO_ROOTS"
        )


def _led(path: Path) -> Path:
    """Where a path leads; itself where its links go in circles."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()
