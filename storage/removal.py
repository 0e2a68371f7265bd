"""Taking things out of a store so that a kill in the middle leaves nothing that looks whole."""

import contextlib
import shutil

from storage import addresses
from storage.errors import as_store_error
from storage.handles import MANIFEST
from storage.inventory import StoredArtefact
from storage.staging import locked_folder
from storage.store import Store


def remove_artefact(store: Store, artefact: StoredArtefact) -> None:
    """Delete an artefact, whoever refers to it.

    On a disk it is renamed out of sight first; elsewhere its manifest goes first, and what is left
    of one that was cut off is found again by its files.

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
