"""Features of photos and matches of pairs: values, and files of them.

Arrays lie in npz files, behind 32 bytes with the sha256 of what follows: whatever damages a file,
it is not read.
"""

import dataclasses
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16, Float32, Int32

from storage.errors import IntegrityError
from tasks.runtime.atomic_file import write_atomically
from tasks.runtime.context import Device
from tasks.sfm.features.config import Precision

DIGEST_BYTES = 32

Pair = tuple[int, int]
"""Indices of two photos."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoFeatures:
    """Keypoints of a photo and what they look like, the strongest first."""

    xy: Float32[np.ndarray, "n 2"]
    """Pixels of the photo; the centre of the upper left one is (0.5, 0.5), as in COLMAP."""
    descriptors: Float16[np.ndarray, "n d"]
    """Of unit length."""
    strength: Float32[np.ndarray, " n"]
    """The detector's score."""
    size: tuple[int, int]
    """Of the photo: width, height, px."""
    scale_and_angle: Float32[np.ndarray, "n 2"] | None = None
    """Of features that have them: scale in px and angle in rad, from x to y, as COLMAP's SIFT."""

    def write(self, file: Path) -> None:
        """
        Raises:
            MachineError: the file cannot be written.
        """
        arrays = {"xy": self.xy, "descriptors": self.descriptors, "strength": self.strength}
        if self.scale_and_angle is not None:
            arrays["scale_and_angle"] = self.scale_and_angle
        write_arrays(file, arrays | {"size": np.array(self.size, dtype=np.int32)})

    @classmethod
    def read(cls, file: Path) -> "PhotoFeatures":
        """
        Raises:
            FileNotFoundError: there is none.
            IntegrityError: it is damaged.
        """
        arrays = read_arrays(file)
        width, height = arrays.pop("size").tolist()
        return cls(size=(width, height), **arrays)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairMatches:
    """Matches between two photos, one for each keypoint at most."""

    indices: Int32[np.ndarray, "k 2"]
    """Of the keypoints in the one and the other photo."""
    scores: Float32[np.ndarray, " k"]
    """Of LightGlue, 0 to 1: probability that both keypoints show the same point."""

    def at_least(self, min_score: float) -> "PairMatches":
        keep = self.scores >= min_score
        return PairMatches(indices=self.indices[keep], scores=self.scores[keep])

    def write(self, file: Path) -> None:
        """
        Raises:
            MachineError: the file cannot be written.
        """
        write_arrays(file, {"indices": self.indices, "scores": self.scores})

    @classmethod
    def read(cls, file: Path) -> "PairMatches":
        """
        Raises:
            FileNotFoundError: there is none.
            IntegrityError: it is damaged.
        """
        return cls(**read_arrays(file))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearnedMatches:
    """Keypoints of all photos and the matches of the pairs asked for.

    Photos and pairs are numbered as they were given.
    """

    keypoints: tuple[Float32[np.ndarray, "_ 2"], ...]
    """Of each photo, in COLMAP's pixels: the centre of the upper left one is (0.5, 0.5)."""
    matches: Mapping[Pair, Int32[np.ndarray, "_ 2"]]
    """Of each pair (i, j): indices of the keypoints in photo i and in photo j. Empty ones too."""
    scores: Mapping[Pair, Float32[np.ndarray, " _"]]
    """Of these matches; all at least the config's ``min_score``."""
    descriptors: tuple[Float16[np.ndarray, "_ d"], ...]
    """Of each photo's keypoints, of unit length."""
    computed: tuple[int, int]
    """Photos and pairs that were computed; the others were recalled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What ALIKED does to photos."""

    max_keypoints: int
    detection_threshold: float
    long_side: int
    weights: str
    """File."""
    weights_digest: str
    """sha256 of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """What LightGlue does to pairs."""

    precision: Precision
    weights: str
    weights_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Work for the process of the networks."""

    cache: str
    """Folder of features and matches, absolute."""
    photos: tuple[str, ...] = ()
    """Image files to extract features of."""
    masks: tuple[str | None, ...] = ()
    """Of each photo: file of 8 bits, 255 = use; None = everywhere."""
    given: tuple[str, ...] = ()
    """In place of photos: files of :class:`PhotoFeatures`."""
    pairs: tuple[Pair, ...] = ()
    """Indices of photos, or of given features."""
    extraction: Extraction | None = None
    matching: Matching | None = None
    device: Device = "cpu"
    threads: int = 1

    def write(self, folder: Path) -> None:
        (folder / "request.json").write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "Request":
        content: dict[str, Any] = json.loads((folder / "request.json").read_text())
        for name, kind in (("extraction", Extraction), ("matching", Matching)):
            content[name] = kind(**content[name]) if content[name] is not None else None
        for name in ("photos", "masks", "given"):
            content[name] = tuple(content[name])
        return cls(**{**content, "pairs": tuple((i, j) for i, j in content["pairs"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Where the process of the networks put what was asked for."""

    features: tuple[str, ...] = ()
    """File of each photo."""
    matches: tuple[str, ...] = ()
    """File of each pair."""
    computed: tuple[int, int] = (0, 0)
    """Photos and pairs that were not there yet."""

    def write(self, folder: Path) -> None:
        (folder / "result.json").write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "Result":
        content = json.loads((folder / "result.json").read_text())
        return cls(**{name: tuple(values) for name, values in content.items()})


def write_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a whole file or none.

    Raises:
        MachineError: it cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    body = content.getvalue()
    write_atomically(file, sha256(body).digest() + body)


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """What :func:`write_arrays` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        IntegrityError: it is cut off or damaged.
    """
    content = memoryview(file.read_bytes())
    digest, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if sha256(body).digest() != digest:
        raise IntegrityError(
            f"'{file}' of {len(content)} bytes is damaged, its sha256 is not the one at its "
            "beginning; run the scene again, it will be computed anew"
        )
    with np.load(io.BytesIO(body), allow_pickle=False) as stored:
        return dict(stored)


def recall_arrays(file: Path) -> dict[str, np.ndarray] | None:
    """An undamaged entry of a cache, which then counts as used now; None where there is none."""
    try:
        arrays = read_arrays(file)
    except (OSError, IntegrityError):
        return None
    with suppress(OSError):
        os.utime(file)
    return arrays
