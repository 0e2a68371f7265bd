"""Contents of a store: every file below a folder, the artefacts among them, and their removal."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import fsspec

from storage import addresses
from storage.errors import as_store_error
from storage.files import names_in
from storage.handles import MANIFEST
from storage.staging import locked_folder
from storage.store import Store
from storage.tables import COLUMNS

ARTEFACT_DEPTH = 4
"""Of ``scenes/<scene>/<kind>/<digest16>.zarr``."""
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")
"""What file systems call the time of the last writing: a disk, S3, Azure, Google, memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file or object, ``<store>/<key>``."""

    key: str
    size: int
    """Bytes."""
    modified: datetime
    """In UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtefact:
    """The files that stand where an artefact does, finished or not."""

    key: str
    """``scenes/<scene>/<kind>/<digest16>.zarr``, as names of objects."""
    files: tuple[StoredFile, ...]

    @property
    def kind(self) -> str:
        return self.key.split("/")[2]

    @property
    def scene(self) -> str:
        """As it stands in paths."""
        return self.key.split("/")[1]

    @property
    def digest16(self) -> str:
        """The first digits of its digest."""
        return self.key.rsplit("/", 1)[1].removesuffix(".zarr")

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def modified(self) -> datetime:
        return max(file.modified for file in self.files)


def files_below(store: Store, folder: str) -> Sequence[StoredFile]:
    """Every file below ``<store>/<folder>`` in the order of the keys; links are not followed.

    Raises:
        StoreError: the store cannot be reached.
    """
    with as_store_error(f"the files in {folder} could not be listed in {store.root}", Exception):
        found = _local(store.local, folder) if store.local is not None else _remote(store, folder)
        return sorted(found, key=lambda file: file.key)


def is_empty(store: Store) -> bool:
    """Whether a store holds no result at all, as one that does not exist, or whose name has a typo.

    Raises:
        StoreError: the store cannot be reached.
    """
    tables = [f"metrics/{table}" for table in COLUMNS]
    folders = ("runs", "scenes", "cache", "checkpoints", *tables)
    return not any(names_in(store, folder) for folder in folders)


def artefacts_in(store: Store) -> Sequence[StoredArtefact]:
    """The artefacts of all scenes, those included that lack their manifest or other objects.

    Raises:
        StoreError: the store cannot be reached.
    """
    below = [file for file in files_below(store, "scenes") if _place(file.key) is not None]
    return [
        StoredArtefact(key=key, files=tuple(files))
        for key, files in groupby(sorted(below, key=_sorting), key=lambda file: _place(file.key))
        if key is not None
    ]


def artefact_key(uri: str) -> str:
    """The key of the artefact at an address, wherever its store has been moved to since."""
    return "/".join(uri.rstrip("/").split("/")[-ARTEFACT_DEPTH:])


def _place(key: str) -> str | None:
    parts = key.split("/")
    return "/".join(parts[:ARTEFACT_DEPTH]) if len(parts) > ARTEFACT_DEPTH else None


def _sorting(file: StoredFile) -> tuple[str, str]:
    return _place(file.key) or "", file.key


def _local(root: Path, folder: str) -> Iterator[StoredFile]:
    for place, _, names in os.walk(root / folder):
        for name in names:
            path = Path(place) / name
            try:
                status = path.lstat()
            except FileNotFoundError:  # removed or renamed since it was listed
                continue
            yield StoredFile(
                key=path.relative_to(root).as_posix(),
                size=status.st_size,
                modified=datetime.fromtimestamp(status.st_mtime, UTC),
            )


def _remote(store: Store, folder: str) -> Iterator[StoredFile]:
    filesystem, path = addresses.remote(store.address(folder))
    root = path.removesuffix(folder)
    for place, info in filesystem.find(path, detail=True).items():
        yield StoredFile(
            key=place.removeprefix(root),
            size=info["size"] or 0,
            modified=_modified(filesystem, place, info),
        )


def _modified(filesystem: fsspec.AbstractFileSystem, place: str, info: dict[str, Any]) -> datetime:
    found = next((info[name] for name in _TIMES if info.get(name)), None)
    if found is None:
        found = filesystem.modified(place)
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    if isinstance(found, int | float):
        return datetime.fromtimestamp(found, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def remove_artefact(store: Store, artefact: StoredArtefact) -> None:
    """Delete an artefact, whether or not anything refers to it.

    An interruption leaves nothing that looks whole: on a disk the folder is renamed out of sight
    first; elsewhere the manifest is deleted first, and the remaining files are found again.

    Raises:
        StoreError: the store cannot be written.
    """
    failure = f"the artefact {artefact.key} could not be removed from {store.root}"
    with as_store_error(failure, Exception):
        if store.local is not None:
            _remove_folder(store, artefact.key)
            return
        filesystem, path = addresses.remote(store.root)
        manifest = f"{artefact.key}/{MANIFEST}"
        others = [file.key for file in artefact.files if file.key != manifest]
        for key in (manifest, *others):
            with contextlib.suppress(FileNotFoundError):
                filesystem.rm_file(f"{path.rstrip('/')}/{key}")


def _remove_folder(store: Store, key: str) -> None:
    assert store.local is not None
    with locked_folder(store.staging) as folder, contextlib.suppress(FileNotFoundError):
        (store.local / key).rename(folder / "removed")
        shutil.rmtree(folder / "removed")
    for parent in list((store.local / key).parents)[:2]:  # its kind and its scene, where empty
        with contextlib.suppress(OSError):
            parent.rmdir()
