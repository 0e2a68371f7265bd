"""Layout of a scene's photos in the store, and their reader.

Arrays: ``photo_0000``, ``photo_0001``, ... (uint8, [h w 3]), each of its own size;
``depth_0007`` (uint16, [h w]) and ``mask_0007`` (bool, [h w]) for those of them that have a depth
map or a mask, under the same number; ``reference_camera_from_world`` and ``reference_intrinsics``
where reference cameras are given. The attributes hold the rest, and are written last.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from storage.store import Writer
from tasks.cameras import CameraModel, Cameras
from tasks.ingest.config import IngestConfig
from tasks.ingest.exif import Gps
from tasks.ingest.folder import Rejected
from tasks.ingest.given import camera_model_of_photo
from tasks.ingest.photos import Photo, PhotoFolder
from tasks.ingest.references import ReferenceKind
from tasks.ingest.sidecars import DEPTH_SCALE_M, read_depth
from tasks.ingest.source import find_files
from tasks.ingest.used import Used, used_lines
from tasks.runtime.context import Context


@runtime_checkable
class Readable(Protocol):
    """A stored artefact: arrays by name, and attributes."""

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


def write_photos(
    out: Writer, folder: Path, config: IngestConfig, *, context: Context = Context()
) -> dict[str, Any]:
    """Read the photos of a scene and add them to ``out``; at most one photo is held.

    Returns:
        The attributes to commit ``out`` with.

    Raises:
        InputError: too few photos can be used, the scene holds none and no video, or a sidecar is
            wrong or does not fit its photo. Sidecars are read before any photo is decoded.
        MachineError: the machine failed to read a file.
    """
    files = find_files(folder)
    photos = PhotoFolder(files, config, context=context)
    infos: list[PhotoInfo] = []
    mask_names: list[str] = []
    remarks: dict[str, tuple[str, ...]] = {}
    for index, photo in enumerate(photos):
        infos.append(_info(photo))
        remarks[photo.name] = photo.remarks
        out.add(f"photo_{index:04d}", photo.pixels, ("y", "x", "channel"))
        if photo.mask is not None:
            mask_names.append(photo.name)
            out.add(f"mask_{index:04d}", photo.mask, ("y", "x"))
        if photo.name in files.depth:
            depth = read_depth(files.depth[photo.name], photo.source_size, config.max_pixels)
            out.add(f"depth_{index:04d}", depth, ("y", "x"))
    models = {
        info.name: camera_model_of_photo(
            files.given[info.name], info.name, info.source_size, info.size
        )
        for info in infos
        if info.name in files.given
    }
    if models:
        poses = np.stack([files.given[name].camera_from_world for name in models])
        out.add("reference_camera_from_world", poses, ("reference", "row", "column"))
        intrinsics = np.stack([model.intrinsics for model in models.values()])
        out.add("reference_intrinsics", intrinsics, ("reference", "pixel_row", "pixel_column"))
    depth_names = [info.name for info in infos if info.name in files.depth]
    used = Used(
        names=[info.name for info in infos],
        rejected=photos.rejected,
        with_camera=models.keys(),
        with_mask=mask_names,
        with_depth=depth_names,
        remarks=photos.remarks,
        remarks_by_photo=remarks,
    )
    return {
        "kind": files.kind,
        "used": used_lines(files, used),
        "photos": [asdict(info) for info in infos],
        "rejected": [asdict(rejected) for rejected in photos.rejected],
        "reference_kind": files.reference_kind if models else None,
        "reference_names": list(models),
        "reference_lenses": [asdict(model) for model in models.values()],
        "reference_ignored": list(files.reference_ignored),
        "mask_names": mask_names,
        "depth_names": depth_names,
        "depth_scale_m": DEPTH_SCALE_M,
    }


class Photos:
    """A stored Photos artefact; pixels are read on access."""

    def __init__(self, stored: Readable) -> None:
        attributes = stored.attributes
        self._stored = stored
        self._reference_names = tuple(attributes["reference_names"])
        self._depth_scale_m = float(attributes["depth_scale_m"])
        self._reference_models = tuple(
            CameraModel(model=fields["model"], params=tuple(fields["params"]))
            for fields in attributes["reference_lenses"]
        )
        self.kind: Literal["photos", "video"] = attributes["kind"]
        self.reference_kind: ReferenceKind | None = attributes["reference_kind"]
        """Source of the reference cameras; None where there are none."""
        self.reference_ignored: tuple[str, ...] = tuple(attributes["reference_ignored"])
        """Further sources of cameras, which were not used."""
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
        stored = self._stored.array(f"depth_{self._index[name]:04d}")
        return stored.astype(np.float32) * np.float32(self._depth_scale_m)

    def reference(self) -> Cameras | None:
        """The reference cameras of those photos that have one, for pixels as stored.

        Their distortion is left out; :meth:`reference_models` has it.
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

    def reference_models(self) -> tuple[CameraModel, ...]:
        """Camera models of the reference cameras, in their order, in pixels as stored."""
        return self._reference_models


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
