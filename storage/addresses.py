"""Addresses of stored objects: paths, or URLs of any file system fsspec knows."""

from pathlib import Path

import fsspec

from storage.errors import as_store_error


def local_path(address: str) -> Path | None:
    """The address as a path of this machine, or None where it is a URL of something else."""
    path = address.removeprefix("file://")
    return None if "://" in path else Path(path)


def remote(address: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system behind an address, and the address in it.

    It keeps no listings: s3fs believes them even of objects others wrote, changed or deleted since.
    """
    filesystem, path = fsspec.url_to_fs(address, use_listings_cache=False)
    return filesystem, path


def read(address: str) -> bytes:
    """A whole object, as it is now.

    Raises:
        FileNotFoundError: there is none.
        StoreError: it cannot be reached.
    """
    with as_store_error(f"{address} could not be read", Exception):
        try:
            if (local := local_path(address)) is not None:
                return local.read_bytes()
            filesystem, path = remote(address)
            content: bytes = filesystem.cat_file(path)
            return content
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            missing = error
    raise FileNotFoundError(address) from missing
