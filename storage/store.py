"""Writing artefacts: objects first, the manifest last, so a cut-off write never looks finished."""

import contextlib
import json
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import file_digest
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from storage.addresses import local_path, remote
from storage.errors import IntegrityError, StoreError, UndefinedNumbersError, as_store_error
from storage.handles import MANIFEST, ArrayHandle, Manifest
from storage.names import object_name
from storage.staging import locked_folder, remove_abandoned

CHUNK_BYTES = 4 << 20
"""About what one read of a part of an array should cost."""
SHARD_BYTES = 256 << 20
"""Chunks are packed into objects of about this size: many small objects are slow to verify."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedArray:
    """One array of an artefact; ``dims`` names its axes, so that xarray opens it.

    xarray allows a name one length in an artefact: where an axis has another length than an earlier
    axis of its name, as in photos of several sizes, the length is added to it (``y_480``).
    """

    name: str
    values: np.ndarray
    dims: tuple[str, ...]
    may_be_nan: bool = False
    """Whether NaN says that there is no number; else neither NaN nor infinity is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where artefacts, tables and cached results live."""

    root: str
    """An absolute directory, or any fsspec URL."""

    @property
    def local(self) -> Path | None:
        """The root as a path, or None where it is a URL."""
        return local_path(self.root)

    @property
    def staging(self) -> Path:
        """Where writers prepare what they store: on the store's own disk, where it has one."""
        if self.local is not None:
            return self.local / "staging"
        return Path(tempfile.gettempdir()) / f"unseen-staging-{os.getuid()}"

    def address(self, key: str) -> str:
        """Of ``<store>/<key>``."""
        return f"{self.root.rstrip('/')}/{key}"

    @contextlib.contextmanager
    def writer(self, scene: str, kind: str) -> Iterator["Writer"]:
        """Write one artefact to ``<store>/scenes/<scene>/<kind>/<digest16>.zarr``.

        What was added and not committed is gone after the block.

        Raises:
            StoreError: the store is full or cannot be written.
        """
        failure = f"the artefact '{kind}' of scene '{scene}' could not be written to {self.root}"
        with contextlib.ExitStack() as stack:
            with as_store_error(failure):
                folder = stack.enter_context(locked_folder(self.staging)) / "artefact"
                group = zarr.open_group(folder, mode="w", zarr_format=3)
            yield Writer(
                store=self, scene=scene, kind=kind, folder=folder, group=group, failure=failure
            )

    def commit(
        self, scene: str, kind: str, arrays: Iterable[NamedArray], attributes: Mapping[str, Any]
    ) -> ArrayHandle:
        """Write an artefact whose arrays are at hand, or come one at a time from a generator.

        Raises:
            StoreError: the store is full or cannot be written.
            Exception: what ``arrays`` raises, as it raises it.
        """
        with self.writer(scene, kind) as out:
            out.add_all(arrays)
            return out.commit(attributes)

    def check_writable(self) -> None:
        """Write and remove a small file.

        Raises:
            StoreError: the store does not take it.
        """
        try:
            if self.local is not None:
                self.local.mkdir(parents=True, exist_ok=True)
            filesystem, path = remote(self.address(f".probe-{uuid.uuid4().hex}"))
            filesystem.pipe_file(path, b"unseen")
            filesystem.rm_file(path)
        except Exception as error:  # every filesystem raises its own kinds
            raise StoreError(
                f"the store {self.root} cannot be written ({type(error).__name__}: {error}), so "
                "no result could be kept; give a writable directory or URL with --store or "
                "UNSEEN_STORE"
            ) from error


@dataclass(slots=True, kw_only=True)
class Writer:
    """Adds arrays to an artefact one at a time, then commits it; see :meth:`Store.writer`."""

    store: Store
    scene: str
    kind: str
    folder: Path
    """Staging folder of the arrays; renamed or uploaded by the commit."""
    group: zarr.Group
    failure: str
    """First half of the sentence that a :class:`StoreError` says."""
    lengths: dict[str, int] = field(default_factory=dict)
    """Length of each axis name so far; see :class:`NamedArray`."""

    def add(self, name: str, values: np.ndarray, dims: tuple[str, ...]) -> None:
        """Write one array.

        Args:
            name: an identifier, new in this artefact.
            dims: names of the axes, as in :class:`NamedArray`.

        Raises:
            UndefinedNumbersError: some of the values are no finite numbers.
            StoreError: the store is full or cannot be written.
        """
        self.add_all([NamedArray(name=name, values=values, dims=dims)])

    def add_all(self, arrays: Iterable[NamedArray]) -> None:
        """Write arrays as an iterable yields them; see :meth:`add`."""
        for array in arrays:
            if not array.may_be_nan:
                self._check_numbers(array)
            with as_store_error(self.failure):
                _write_array(self.group, array, self.lengths)

    def _check_numbers(self, array: NamedArray) -> None:
        """
        Raises:
            UndefinedNumbersError: some of the values are no finite numbers.
        """
        values = array.values
        if values.dtype.kind != "f" or not values.size:
            return
        # Of one number, without a mask of all: the least is NaN where any is.
        if np.isfinite(values.min()) and np.isfinite(values.max()):
            return
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise UndefinedNumbersError(
            f"{bad:,} of the {values.size:,} numbers '{array.name}' of the {self.kind} of scene "
            f"'{self.scene}' are NaN or infinite, so it is of no use and is not kept; see the "
            "scene's photos and options, and whether a stage before it gave what it should"
        )

    def commit(self, attributes: Mapping[str, Any]) -> ArrayHandle:
        """Finish the artefact: the manifest last, then the rename or upload.

        Args:
            attributes: JSON-able.

        Returns:
            The handle. Equal content gives an equal handle, and is stored once.

        Raises:
            StoreError: the store is full or cannot be written.
        """
        store, folder = self.store, self.folder
        with as_store_error(self.failure):
            # Equal content, equal bytes, however the mapping was ordered.
            self.group.attrs.put(json.loads(json.dumps(attributes, sort_keys=True)))
            manifest = Manifest(kind=self.kind, objects=_synced_digests(folder))
            key = f"scenes/{object_name(self.scene)}/{self.kind}/{manifest.digest[:16]}.zarr"
            handle = ArrayHandle(uri=store.address(key), kind=self.kind, digest=manifest.digest)
            if store.local is not None:
                _publish(folder, store.local / key, manifest, handle)
        if store.local is None:
            with as_store_error(self.failure, Exception):
                _upload(folder, handle.uri, manifest)
        return handle


def remove_abandoned_staging(store: Store) -> int:
    """Delete what killed writers left behind on this machine; the number of folders removed."""
    return remove_abandoned(store.staging)


def _write_array(group: zarr.Group, array: NamedArray, lengths: dict[str, int]) -> None:
    """Write one array; ``lengths`` holds the length of each axis name used so far."""
    assert array.name.isidentifier(), f"{array.name!r} would not stand for itself in a path"
    shape = array.values.shape
    chunks, shards = layout(shape, array.values.dtype.itemsize)
    dims = [
        name if lengths.setdefault(name, length) == length else f"{name}_{length}"
        for name, length in zip(array.dims, shape, strict=True)
    ]
    target = group.create_array(
        array.name,
        shape=shape,
        dtype=array.values.dtype,
        chunks=chunks,
        shards=shards,
        dimension_names=dims,
        # Left out chunks read as +0, whatever zero was in them.
        config={"write_empty_chunks": True},
    )
    if array.values.size:
        target[...] = array.values


def layout(shape: tuple[int, ...], itemsize: int) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Chunk and shard shapes, split along the first axis; no shard where one chunk is enough."""
    if not shape:
        return (), None
    row_bytes = max(1, prod(shape[1:]) * itemsize)
    rest = tuple(max(1, extent) for extent in shape[1:])
    rows = max(1, min(shape[0], CHUNK_BYTES // row_bytes))
    chunks_needed = -(-max(1, shape[0]) // rows)
    if chunks_needed == 1:
        return (rows, *rest), None
    per_shard = max(1, min(chunks_needed, SHARD_BYTES // (rows * row_bytes)))
    return (rows, *rest), (rows * per_shard, *rest)


def _synced_digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file by its key; all of them are on the disk afterwards."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync(path)
            continue
        with path.open("rb") as file:
            digests[path.relative_to(folder).as_posix()] = file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
    return digests


def _publish(folder: Path, target: Path, manifest: Manifest, handle: ArrayHandle) -> None:
    """Rename into place: the one step after which the artefact exists."""
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    sync(folder / MANIFEST)
    sync(folder)
    while True:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
            break
        except OSError:
            if target.parent.exists() and not target.exists():
                raise
        # Somebody finished first, or removed the empty folder that it was to stand in. Equal
        # digests mean equal bytes, unless damaged since.
        try:
            handle.verify()
            os.utime(target / MANIFEST)  # in use: not for 'unseen gc' to take
            break
        except IntegrityError:
            _move_aside(target, folder.with_name(f"damaged-{uuid.uuid4().hex}"))
    sync(target.parent)


def _move_aside(target: Path, aside: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # another writer may be mending it too
        target.rename(aside)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of entries, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _upload(folder: Path, uri: str, manifest: Manifest) -> None:
    filesystem, path = remote(uri)
    for key in manifest.objects:
        filesystem.put_file(str(folder / key), f"{path}/{key}")
    filesystem.pipe_file(f"{path}/{MANIFEST}", manifest.to_bytes())
