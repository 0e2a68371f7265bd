"""How the photos of a scene lie in the store, and how later stages read them.

Arrays: ``photo_0000``, ``photo_0001``, ... (uint8, [h w 3]), each of its own size;
``depth_0007`` (uint16, [h w]) and ``mask_0007`` (bool, [h w]) for those of them that have a depth
map or a mask, under the same number; ``reference_camera_from_world`` and ``reference_intrinsics``
where reference cameras are given. The attributes hold the rest, and are written last.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from storage.store import NamedArray
from tasks.cameras import CameraModel, Cameras
from tasks.ingest.config import IngestConfig
from tasks.ingest.exif import Gps
from tasks.ingest.folder import Rejected
from tasks.ingest.given import lens_of_photo
from tasks.ingest.photos import Photo, PhotoFolder
from tasks.ingest.sidecars import DEPTH_SCALE_M, read_depth
from tasks.ingest.source import ReferenceKind, find_files
from tasks.runtime.context import Progress, no_progress


@runtime_checkable
class Readable(Protocol):
    """What is needed of a stored artefact: its arrays by name, and its attributes."""

    def array(self, name: str) -> np.ndarray: ...

    @property
    def attributes(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoInfo:
    """Everything about a stored photo but its pixels; the fields are those of ``Photo``."""

    name: str
    camera: str
    focal_px: float | None
    gps: Gps | None
    source_size: tuple[int, int]
    size: tuple[int, int]
    """Width and height of the stored pixels."""


class PhotosContent:
    """The Photos artefact of a scene, array by array; at most one photo is held.

    Iterate once, then ask for ``attributes``.
    """

    def __init__(
        self, folder: Path, config: IngestConfig, progress: Progress = no_progress
    ) -> None:
        """
        Raises:
            InputError: the scene holds no photos and no video, or a sidecar is wrong.
        """
        self._files = find_files(folder)
        self._config = config
        self._photos = PhotoFolder(self._files, config, progress)
        self._infos: list[PhotoInfo] = []
        self._mask_names: list[str] = []
        self._lenses: dict[str, CameraModel] = {}

    def __iter__(self) -> Iterator[NamedArray]:
        """
        Raises:
            InputError: too few photos can be used, or a sidecar does not fit its photo.
            MachineError: the machine failed to read a file.
        """
        files = self._files
        self._infos.clear()
        self._mask_names.clear()
        for index, photo in enumerate(self._photos):
            self._infos.append(_info(photo))
            yield NamedArray(
                name=f"photo_{index:04d}", values=photo.pixels, dims=("y", "x", "channel")
            )
            if photo.mask is not None:
                self._mask_names.append(photo.name)
                yield NamedArray(name=f"mask_{index:04d}", values=photo.mask, dims=("y", "x"))
            if photo.name in files.depth:
                depth = read_depth(
                    files.depth[photo.name], photo.source_size, self._config.max_pixels
                )
                yield NamedArray(name=f"depth_{index:04d}", values=depth, dims=("y", "x"))
        self._lenses = {
            info.name: lens_of_photo(files.given[info.name], info.name, info.source_size, info.size)
            for info in self._infos
            if info.name in files.given
        }
        if self._lenses:
            yield NamedArray(
                name="reference_camera_from_world",
                values=np.stack([files.given[name].camera_from_world for name in self._lenses]),
                dims=("reference", "row", "column"),
            )
            yield NamedArray(
                name="reference_intrinsics",
                values=np.stack([lens.intrinsics for lens in self._lenses.values()]),
                dims=("reference", "pixel_row", "pixel_column"),
            )

    def attributes(self) -> dict[str, Any]:
        """What the arrays do not say, JSON-able; complete once the arrays are exhausted."""
        return {
            "kind": self._files.kind,
            "photos": [asdict(info) for info in self._infos],
            "rejected": [asdict(rejected) for rejected in self._photos.rejected],
            "reference_kind": self._files.reference_kind if self._lenses else None,
            "reference_names": list(self._lenses),
            "reference_lenses": [asdict(lens) for lens in self._lenses.values()],
            "reference_ignored": list(self._files.reference_ignored),
            "mask_names": list(self._mask_names),
            "depth_names": [i.name for i in self._infos if i.name in self._files.depth],
            "depth_scale_m": DEPTH_SCALE_M,
        }


class Photos:
    """A stored Photos artefact; pixels are read when asked for."""

    def __init__(self, stored: Readable) -> None:
        attributes = stored.attributes
        self._stored = stored
        self._reference_names = tuple(attributes["reference_names"])
        self._depth_scale_m = float(attributes["depth_scale_m"])
        self._lenses = tuple(
            CameraModel(model=fields["model"], params=tuple(fields["params"]))
            for fields in attributes["reference_lenses"]
        )
        self.kind: Literal["photos", "video"] = attributes["kind"]
        self.reference_kind: ReferenceKind | None = attributes["reference_kind"]
        """What gave the reference cameras, None where there are none."""
        self.reference_ignored: tuple[str, ...] = tuple(attributes["reference_ignored"])
        """What would have given cameras too."""
        self.mask_names: tuple[str, ...] = tuple(attributes["mask_names"])
        self.infos = tuple(_info_from_json(fields) for fields in attributes["photos"])
        self.rejected = tuple(Rejected(**fields) for fields in attributes["rejected"])
        self.depth_names: tuple[str, ...] = tuple(attributes["depth_names"])
        self._index = {info.name: index for index, info in enumerate(self.infos)}

    def __len__(self) -> int:
        return len(self.infos)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._index)

    def pixels(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Photo ``index`` of ``infos``: RGB, upright."""
        return self._stored.array(f"photo_{index:04d}")

    def mask(self, name: str) -> Bool[np.ndarray, "h w"]:
        """Mask of one of ``mask_names``, for the pixels as stored: true where they may be used."""
        return self._stored.array(f"mask_{self._index[name]:04d}")

    def depth_m(self, name: str) -> Float32[np.ndarray, "h w"]:
        """Depth of one of ``depth_names``, metres along the optical axis, 0 where unknown.

        The map covers the whole photo and may have another resolution.
        """
        levels = self._stored.array(f"depth_{self._index[name]:04d}")
        return levels.astype(np.float32) * np.float32(self._depth_scale_m)

    def reference(self) -> Cameras | None:
        """The reference cameras of those photos that have one, for pixels as stored.

        Their distortion is left out; :meth:`lenses` has it.
        """
        if not self._reference_names:
            return None
        sizes = [self.infos[self._index[name]].size for name in self._reference_names]
        return Cameras(
            names=self._reference_names,
            camera_from_world=self._stored.array("reference_camera_from_world"),
            intrinsics=self._stored.array("reference_intrinsics"),
            sizes=np.array(sizes, dtype=np.int64),
        )

    def lenses(self) -> tuple[CameraModel, ...]:
        """The lenses of the reference cameras, in their order, in pixels as stored."""
        return self._lenses


def _info(photo: Photo) -> PhotoInfo:
    return PhotoInfo(
        name=photo.name,
        camera=photo.camera,
        focal_px=photo.focal_px,
        gps=photo.gps,
        source_size=photo.source_size,
        size=photo.size,
    )


def _info_from_json(fields: Mapping[str, Any]) -> PhotoInfo:
    """JSON has lists where we have tuples."""
    tuples = {
        key: value if value is None else tuple(value)
        for key, value in fields.items()
        if key in ("gps", "source_size", "size")
    }
    return PhotoInfo(**{**fields, **tuples})
