"""Addresses of stored objects: paths, or URLs of any file system fsspec knows."""

from pathlib import Path

import fsspec

from storage.errors import as_store_error


def local_path(address: str) -> Path | None:
    """The address as a path of this machine, or None where it is a URL of something else."""
    path = address.removeprefix("file://")
    return None if "://" in path else Path(path)


def read(address: str) -> bytes:
    """A whole object, as it is now.

    Raises:
        FileNotFoundError: there is none.
        StoreError: it cannot be reached.
    """
    with as_store_error(f"{address} could not be read", Exception):
        try:
            if (path := local_path(address)) is not None:
                return path.read_bytes()
            filesystem, key = fsspec.url_to_fs(address)
            # Not open(): it believes cached listings, which know neither new objects nor new sizes.
            content: bytes = filesystem.cat_file(key)
            return content
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            missing = error
    raise FileNotFoundError(address) from missing
