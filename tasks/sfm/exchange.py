"""What the stage and its child process hand each other: files in a work folder."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from tasks.cameras import CameraModel
from tasks.runtime.context import Device
from tasks.sfm.config import SfmConfig
from tasks.sfm.features.files import FeatureWeights
from tasks.source import Source

PHOTO_FOLDER = "photos"
MASK_FOLDER = "masks"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCamera:
    """Intrinsics that one or more photos have in common."""

    width: int
    height: int
    focal_px: float | None
    """Known beforehand (from EXIF), or None."""
    camera_model: CameraModel | None = None
    """Known exactly, or None: to be estimated."""

    @property
    def focal_is_guessed(self) -> bool:
        return self.focal_px is None and self.camera_model is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One attempt at a model."""

    features: str
    mapper: str
    """Of its best model."""
    focal_factor: float
    """Times the first guess, where focal lengths are guesses: what that model started from."""
    registered: int
    """Photos of its best model."""
    sure: int
    """Photos of it whose poses are confirmed."""
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """The photos lie in ``photo_folder`` already, named by their index, and their masks beside."""

    folder: Path
    config: SfmConfig
    cameras: tuple[SharedCamera, ...]
    camera_of_photo: tuple[int, ...]
    """Index into ``cameras`` of each photo."""
    threads: int = 1
    camera_from_world: Float64[np.ndarray, "n 4 4"] | None = None
    """Given poses, to be kept; every camera has its camera model then. None: to be estimated."""
    training: tuple[int, ...] | None = None
    """Photos that are mapped; the others are localised against them. None: all are mapped."""
    weights: FeatureWeights | None = None
    """Of networks that the config's features need."""
    cache: Path | None = None
    """Folder for features and matches by networks."""
    device: Device = "cpu"
    """Of these networks."""
    video: bool = False
    """Whether the photos are frames of videos, in their order."""
    positions_m: Float64[np.ndarray, "n 3"] | None = None
    """Of the photos, from GPS: east, north, up; NaN where unknown. None: none is known."""

    @property
    def mapped(self) -> tuple[int, ...]:
        """Photos that are mapped together, ascending."""
        everyone = tuple(range(len(self.camera_of_photo)))
        return everyone if self.training is None else self.training

    @property
    def photo_folder(self) -> Path:
        return self.folder / PHOTO_FOLDER

    @property
    def mask_folder(self) -> Path:
        """Masks of 8 bits, 255 = use, of those photos that have one."""
        return self.folder / MASK_FOLDER

    @property
    def undistorted_folder(self) -> Path:
        return self.folder / "undistorted"

    @property
    def database(self) -> Path:
        return self.folder / "database.db"

    @staticmethod
    def photo_name(index: int) -> str:
        """Free of whatever the photo's own name holds: COLMAP's lists are split at spaces."""
        return f"{index:06d}.png"

    @staticmethod
    def mask_name(photo_name: str) -> str:
        """Mask file name that COLMAP expects."""
        return f"{photo_name}.png"

    def undistorted_photo(self, index: int) -> Path:
        """Of the ``index``-th registered photo."""
        return self.undistorted_folder / f"{index:06d}.npy"

    def undistorted_mask(self, index: int) -> Path:
        """Of the ``index``-th registered photo, where that one has a mask; bool."""
        return self.undistorted_folder / f"{index:06d}_mask.npy"

    def write(self) -> None:
        content = {
            "config": self.config.model_dump(),
            "threads": self.threads,
            "cameras": [dataclasses.asdict(camera) for camera in self.cameras],
            "camera_of_photo": self.camera_of_photo,
            "training": self.training,
            "weights": None if self.weights is None else dataclasses.asdict(self.weights),
            "cache": None if self.cache is None else str(self.cache),
            "device": self.device,
            "video": self.video,
            "positions_m": None if self.positions_m is None else self.positions_m.tolist(),
            "camera_from_world": (
                None if self.camera_from_world is None else self.camera_from_world.tolist()
            ),
        }
        (self.folder / "request.json").write_text(json.dumps(content))

    @classmethod
    def read(cls, folder: Path) -> "Request":
        content = json.loads((folder / "request.json").read_text())
        poses, training = content["camera_from_world"], content["training"]
        positions = content["positions_m"]
        return cls(
            folder=folder,
            config=SfmConfig.model_validate(content["config"]),
            threads=content["threads"],
            cameras=tuple(_camera_from_json(camera) for camera in content["cameras"]),
            camera_of_photo=tuple(content["camera_of_photo"]),
            camera_from_world=None if poses is None else np.array(poses),
            training=None if training is None else tuple(training),
            weights=_weights_from_json(content["weights"]),
            cache=None if content["cache"] is None else Path(content["cache"]),
            device=content["device"],
            video=content["video"],
            positions_m=None if positions is None else np.array(positions),
        )


def _weights_from_json(fields: dict[str, Any] | None) -> FeatureWeights | None:
    if fields is None:
        return None
    return FeatureWeights(
        **{name: None if one is None else Source(**one) for name, one in fields.items()}
    )


def _camera_from_json(fields: dict[str, Any]) -> SharedCamera:
    model = fields["camera_model"]
    if model is None:
        return SharedCamera(**fields)
    return SharedCamera(
        **{**fields, "camera_model": CameraModel(**{**model, "params": tuple(model["params"])})}
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """The largest model, its photos in the order of the request."""

    photos: Int64[np.ndarray, " n"]
    """Index in the request of each registered photo."""
    camera_from_world: Float64[np.ndarray, "n 4 4"]
    intrinsics: Float64[np.ndarray, "n 3 3"]
    sizes: Int64[np.ndarray, "n 2"]
    points: Float64[np.ndarray, "m 3"]
    point_index: Int32[np.ndarray, " k"]
    photo_index: Int32[np.ndarray, " k"]
    xy: Float32[np.ndarray, "k 2"]
    keypoint_photo: Int32[np.ndarray, " q"]
    keypoint_xy: Float32[np.ndarray, "q 2"]
    pairs: Int32[np.ndarray, "p 2"]
    """See :class:`tasks.sfm.matches.Matches`."""
    reprojection_error_px: float
    model_sizes: tuple[int, ...]
    rungs: tuple[Rung, ...]
    """Attempts, in their order; none for given poses."""
    sure: Bool[np.ndarray, " n"]
    """Whether the pose of each photo is confirmed; all are where poses are given."""
    confidence: Float32[np.ndarray, " n"]
    """0 to 1; NaN where poses are given."""
    left_out: tuple[tuple[int, str], ...]
    """Index in the request of each photo without a pose, and the reason."""
    localised: Int64[np.ndarray, " l"]
    """Index in the request of the photos that were localised after mapping."""
    pairing: str
    """Kind of the pairs that were matched."""
    matched_pairs: int

    def write(self, folder: Path) -> None:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["rungs"] = json.dumps([dataclasses.asdict(rung) for rung in self.rungs])
        fields["left_out"] = json.dumps(self.left_out)
        np.savez(folder / "result.npz", **fields)

    @classmethod
    def read(cls, folder: Path) -> "Result":
        with np.load(folder / "result.npz") as stored:
            fields = dict(stored)
        return cls(
            **{
                **fields,
                "reprojection_error_px": float(fields["reprojection_error_px"]),
                "model_sizes": tuple(int(size) for size in fields["model_sizes"]),
                "rungs": tuple(Rung(**rung) for rung in json.loads(str(fields["rungs"]))),
                "left_out": tuple((i, reason) for i, reason in json.loads(str(fields["left_out"]))),
                "pairing": str(fields["pairing"]),
                "matched_pairs": int(fields["matched_pairs"]),
            }
        )
