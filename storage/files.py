"""Whole files of the store: replaced at once or not at all."""

import contextlib
import os
from collections.abc import Iterator
from io import BufferedRandom

from storage import addresses
from storage.errors import as_store_error
from storage.staging import locked_folder
from storage.store import Store, sync


def put(store: Store, key: str, content: bytes) -> None:
    """Write ``<store>/<key>``; a reader sees the old file or the new one, never a part.

    Raises:
        StoreError: the store is full or cannot be written.
    """
    with replacing(store, key) as file:
        file.write(content)


def put_new(store: Store, key: str, content: bytes) -> None:
    """Write ``<store>/<key>`` at once, unless there is one, which stays.

    Raises:
        StoreError: the store is full or cannot be written.
    """
    failure = f"the file {key} could not be written to {store.root}"
    if store.local is None:
        with as_store_error(failure, Exception), contextlib.suppress(FileExistsError):
            filesystem, path = addresses.remote(store.address(key))
            if not filesystem.exists(path):  # for those that do not know the mode
                filesystem.pipe_file(path, content, mode="create")
        return
    with as_store_error(failure), locked_folder(store.staging) as folder:
        beside, target = folder / "file", store.local / key
        beside.write_bytes(content)
        sync(beside)
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(beside, target)


def move(store: Store, key: str, to: str) -> None:
    """Rename ``<store>/<key>``, unless somebody else did; at a URL it is copied, then removed.

    Raises:
        StoreError: the store is full or cannot be written.
    """
    with (
        as_store_error(f"the file {key} could not be moved in {store.root}", Exception),
        contextlib.suppress(FileNotFoundError),
    ):
        if store.local is None:
            put(store, to, get(store, key))
            remove(store, key)
            return
        target = store.local / to
        target.parent.mkdir(parents=True, exist_ok=True)
        (store.local / key).rename(target)


@contextlib.contextmanager
def replacing(store: Store, key: str) -> Iterator[BufferedRandom]:
    """A file to write and read, that takes the place of ``<store>/<key>`` when the block ends well.

    Raises:
        StoreError: the store is full or cannot be written.
        Exception: what the block raises otherwise.
    """
    failure = f"the file {key} could not be written to {store.root}"
    with as_store_error(failure), locked_folder(store.staging) as folder:
        beside = folder / "file"
        with beside.open("wb+") as file:
            yield file
        if store.local is not None:
            sync(beside)
            target = store.local / key
            target.parent.mkdir(parents=True, exist_ok=True)
            beside.replace(target)
            return
        with as_store_error(failure, Exception):
            filesystem, path = addresses.remote(store.address(key))
            filesystem.put_file(str(beside), path)  # object stores put whole objects


def get(store: Store, key: str) -> bytes:
    """Read ``<store>/<key>``.

    Raises:
        FileNotFoundError: there is none.
        StoreError: the store cannot be reached.
    """
    return addresses.read(store.address(key))


def names_in(store: Store, folder: str) -> list[str]:
    """Names of the files in ``<store>/<folder>``, sorted; hidden ones are not ours.

    Raises:
        StoreError: the store cannot be reached.
    """
    with as_store_error(f"the files in {folder} could not be listed in {store.root}", Exception):
        try:
            if store.local is not None:
                listed = [entry.name for entry in (store.local / folder).iterdir()]
            else:
                filesystem, path = addresses.remote(store.address(folder))
                listed = filesystem.ls(path, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
    names = sorted(str(entry).rsplit("/", 1)[-1] for entry in listed)
    return [name for name in names if not name.startswith(".")]


def remove(store: Store, key: str) -> None:
    """Delete ``<store>/<key>``, unless somebody else did.

    Raises:
        StoreError: the store cannot be written.
    """
    with (
        as_store_error(f"the file {key} could not be removed from {store.root}", Exception),
        contextlib.suppress(FileNotFoundError),
    ):
        if store.local is not None:
            (store.local / key).unlink()
        else:
            filesystem, path = addresses.remote(store.address(key))
            filesystem.rm_file(path)
