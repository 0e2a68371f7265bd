"""Addresses of finished artefacts, and the verified way to read them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import zarr
from zarr.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from storage import addresses
from storage.errors import IntegrityError

MANIFEST = "manifest.json"
SCHEMA = 2
"""Version of the layout below; raised when artefacts of the old one cannot be read as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an artefact consists of: the sha256 of every stored object by its key."""

    kind: str
    objects: Mapping[str, str]

    def to_bytes(self) -> bytes:
        """Canonical JSON: equal artefacts have equal manifests, byte for byte."""
        content = {"schema": SCHEMA, "kind": self.kind, "objects": dict(self.objects)}
        return json.dumps(content, sort_keys=True, indent=1).encode()

    @property
    def digest(self) -> str:
        return sha256(self.to_bytes()).hexdigest()

    def objects_of(self, name: str) -> dict[str, str]:
        """The objects of one array: its metadata and its chunks or shards."""
        return {key: found for key, found in self.objects.items() if key.startswith(f"{name}/")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayHandle:
    """Address of one finished zarr group; travels between tasks in place of arrays.

    Only :meth:`storage.store.Store.commit` makes one, so holding a handle means the write
    finished. ``digest`` is the sha256 of the artefact's manifest, which lists the sha256 of every
    stored object: equal digests mean equal bytes, so it is a sound cache key, and one array can be
    read and verified without reading the others.
    """

    uri: str
    kind: str
    digest: str

    def array(self, name: str) -> np.ndarray:
        """Load and verify one array.

        Raises:
            IntegrityError: an object is missing or does not match the manifest.
            KeyError: the artefact has no such array.
        """
        objects = read_manifest(self).objects_of(name)
        if not objects:
            raise KeyError(f"{self.uri} ({self.kind}) has no array {name!r}")
        # What was verified is what is decoded: the bytes are read once.
        prototype = default_buffer_prototype()
        verified = {
            key: prototype.buffer.from_bytes(_read_verified(self, key, expected))
            for key, expected in objects.items()
        }
        return np.asarray(zarr.open_array(MemoryStore(verified), path=name, mode="r")[...])

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The group's attributes, verified.

        Raises:
            IntegrityError: they are missing or do not match the manifest.
        """
        expected = read_manifest(self).objects["zarr.json"]
        attributes: dict[str, Any] = json.loads(_read_verified(self, "zarr.json", expected))[
            "attributes"
        ]
        return attributes

    def verify(self) -> None:
        """Check every object against the manifest.

        Raises:
            IntegrityError: an object is missing or does not match.
        """
        for fault in self.faults():
            raise fault

    def faults(self) -> Iterator[IntegrityError]:
        """Everything that is wrong with it, an error for each object."""
        try:
            manifest = read_manifest(self)
        except IntegrityError as error:
            yield error
            return
        for key, expected in manifest.objects.items():
            try:
                _read_verified(self, key, expected)
            except IntegrityError as error:
                yield error


def read_manifest(handle: ArrayHandle) -> Manifest:
    """The manifest of a finished artefact.

    Raises:
        IntegrityError: it is missing, not the one the handle was made for, of another schema, or
            names objects that are not its own.
    """
    fields = json.loads(_read_verified(handle, MANIFEST, handle.digest))
    if fields["schema"] != SCHEMA:
        raise IntegrityError(
            f"{handle.uri} has schema {fields['schema']}, this version of unseen reads {SCHEMA}; "
            "run the scene again, its stage will be recomputed"
        )
    for key in fields["objects"]:
        path = PurePosixPath(key)
        if path.is_absolute() or ".." in path.parts:  # whoever made both may name what he likes
            raise IntegrityError(
                f"{handle.uri}/{MANIFEST} names the object '{key}', which is not below it, so "
                "another file would be read; delete the artefact and run the scene again"
            )
    return Manifest(kind=fields["kind"], objects=fields["objects"])


def _read_verified(handle: ArrayHandle, key: str, expected: str) -> bytes:
    address = f"{handle.uri}/{key}"
    advice = "run the scene again, its stage will be recomputed"
    try:
        content = addresses.read(address)
    except FileNotFoundError:
        raise IntegrityError(f"{address} is missing; {advice}") from None
    if (found := sha256(content).hexdigest()) != expected:
        raise IntegrityError(
            f"{address}: expected sha256 {expected[:12]}, found {found[:12]}; {advice}"
        )
    return content
