"""The files that make a scene, and one digest of all that is read from them."""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from tasks.errors import InputError
from tasks.ingest.decode import PhotoError, opened, raise_if_fault_of_the_machine

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff"})

UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".gif", ".bmp"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw"}
)
"""Photos too, of kinds we do not read: named as refused, where overlooking them would surprise."""

PHOTO_FOLDER = "images"
CAMERAS_NAME = "cameras_gt.json"
DEPTH_FOLDER = "depth"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFiles:
    """Everything of a scene folder that ingest reads."""

    folder: Path
    photos: tuple[Path, ...]
    """Sorted by name; names are unique, for they come from one folder."""
    cameras: Path | None
    depth: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A scene folder, and what is in it: equal digests mean equal input, wherever it lies."""

    folder: str
    digest: str
    """sha256, hexadecimal."""


def find_photos(folder: Path) -> tuple[Path, ...]:
    """The photos of a scene, from ``images/`` if it holds any, else from the folder itself.

    Sorted by name, character by character: ``img10`` stands before ``img2``, as in the other
    loaders whose hold-out sets take every k-th photo. Hidden files, sidecars, videos and folders
    are left out. Photos of formats we do not read are in, and refused when read, unless a photo
    of the same stem stands beside them (a raw file next to its JPEG).

    Raises:
        InputError: the folder is missing, no folder, unreadable, or holds no photo.
    """
    for place in (folder / PHOTO_FOLDER, folder):
        if place == folder or _is_folder(place):
            entries = [entry for entry in _entries(place) if not _is_folder(entry)]
            read = [entry for entry in entries if entry.suffix.lower() in PHOTO_SUFFIXES]
            stems = {entry.stem for entry in read}
            unread = [
                entry
                for entry in entries
                if entry.suffix.lower() in UNREAD_SUFFIXES and entry.stem not in stems
            ]
            if read or unread:
                return tuple(sorted(read + unread, key=lambda entry: entry.name))
    raise InputError(
        f"'{folder}' holds no photo (JPEG, PNG, WebP or TIFF), neither itself nor in its folder "
        f"'{PHOTO_FOLDER}', so there is nothing to reconstruct; put the photos of one scene there"
    )


def find_files(folder: Path) -> SceneFiles:
    """The photos of a scene and their sidecars.

    Raises:
        InputError: as :func:`find_photos`.
    """
    photos = find_photos(folder)
    entries = {entry.name: entry for entry in _entries(folder)}
    depth = entries.get(DEPTH_FOLDER)
    maps = _entries(depth) if depth is not None and _is_folder(depth) else []
    return SceneFiles(
        folder=folder,
        photos=photos,
        cameras=entries.get(CAMERAS_NAME),
        depth=tuple(entry for entry in maps if entry.suffix.lower() == ".png"),
    )


def digest_source(folder: Path) -> Source:
    """Digest the names and bytes of everything that ingest would read.

    Where the folder lies, and whether its photos stand in ``images/``, does not count. A file that
    cannot be read counts by the reason why.

    Raises:
        InputError: as :func:`find_photos`.
        MachineError: the machine failed to read a file.
    """
    files = find_files(folder)
    cameras = () if files.cameras is None else (files.cameras,)
    parts = [("photo", files.photos), ("cameras", cameras), ("depth", files.depth)]
    labelled = [(role, path) for role, paths in parts for path in paths]
    # Threads, because hashing and reading both let the others run.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        digests = pool.map(_content, (path for _, path in labelled))
    return Source(folder=str(folder), digest=_combined(labelled, digests))


def _combined(labelled: Iterable[tuple[str, Path]], digests: Iterable[str]) -> str:
    lines = [
        [role, path.name, content] for (role, path), content in zip(labelled, digests, strict=True)
    ]
    # JSON keeps the fields apart, and writes names that are not valid unicode too.
    return sha256(json.dumps(lines).encode()).hexdigest()


def _content(path: Path) -> str:
    try:
        with opened(path, path.name) as file:
            return file_digest(file, "sha256").hexdigest()
    except PhotoError as error:
        return error.reason


def _is_folder(path: Path) -> bool:
    """False too where we may not look: reading it then gives the reason."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _entries(folder: Path) -> list[Path]:
    """What stands in a folder, sorted by name, hidden entries left out."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except FileNotFoundError:
        raise InputError(
            f"'{folder}' does not exist, so there is no photo to read; give the folder of one scene"
        ) from None
    except NotADirectoryError:
        raise InputError(
            f"'{folder}' is a file, and a scene is a folder of photos; give the folder it stands in"
        ) from None
    except OSError as error:
        raise_if_fault_of_the_machine(error, f"the folder '{folder}'")
        raise InputError(
            f"'{folder}' cannot be listed ({error.strerror}), so its photos are out of reach; "
            "mend its permissions"
        ) from error
    return sorted(entries, key=lambda entry: entry.name)
