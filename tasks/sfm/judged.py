"""A model of structure from motion, and the evidence for its poses.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pycolmap
from jaxtyping import Float64

from tasks.cameras import Cameras
from tasks.metrics.consensus import Consensus, align_agreeing
from tasks.sfm.databases import StrictMatches
from tasks.sfm.evidence import (
    MAX_EXCESS,
    PairEvidence,
    SeenMatches,
    confidence,
    confirmed,
    contradicted,
    excess,
    pair_evidence,
)
from tasks.sfm.mappers import MIN_PHOTOS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A model, and the evidence for each photo's pose."""

    model: pycolmap.Reconstruction
    images: tuple[int, ...]
    """The registered ones, ascending."""
    pairs: tuple[PairEvidence, ...]
    """Counted in ``images``."""
    confirmed: frozenset[int]
    """Images whose poses their pairs confirm."""
    contradicted: frozenset[int]
    witness: pycolmap.Reconstruction | None = None
    """Another model of the same pairs."""
    witnessed: frozenset[int] = frozenset()
    """Images whose poses the witness agrees with."""

    @property
    def sure(self) -> frozenset[int]:
        return (self.confirmed & self.witnessed) - self.contradicted

    @property
    def supported(self) -> bool:
        """Whether every pair supports the model."""
        verdicts = {pair.verdict for pair in self.pairs}
        return verdicts == {"supports"} and excess(self.pairs) <= MAX_EXCESS

    @property
    def confidence(self) -> dict[int, float]:
        """Of each image's pose, 0 to 1."""
        return {
            image: confidence(
                confirmed=image in self.confirmed,
                witnessed=image in self.witnessed,
                contradicted=image in self.contradicted,
            )
            for image in self.images
        }


def judge(model: pycolmap.Reconstruction, matches: StrictMatches) -> Judged:
    """Compare a model with the strictly verified matches of its photos."""
    images = tuple(sorted(model.reg_image_ids()))
    cameras = [model.camera(model.image(image).camera_id) for image in images]
    pairs = pair_evidence(
        _poses(model, images),
        np.array([camera.mean_focal_length() for camera in cameras]),
        _seen(model, images, matches),
    )

    def chosen(which: np.ndarray) -> frozenset[int]:
        return frozenset(np.array(images, dtype=np.int64)[which].tolist())

    return Judged(
        model=model,
        images=images,
        pairs=pairs,
        confirmed=chosen(confirmed(len(images), pairs)),
        contradicted=chosen(contradicted(len(images), pairs)),
    )


def _seen(
    model: pycolmap.Reconstruction, images: Sequence[int], matches: StrictMatches
) -> dict[tuple[int, int], SeenMatches]:
    """The matches of every two of ``images``, by their places in it."""
    place = {image: index for index, image in enumerate(images)}
    rays, points = [], []
    for image_id in images:
        image = model.image(image_id)
        keypoints = matches.keypoints[image_id]
        rays.append(np.asarray(model.camera(image.camera_id).cam_from_img(keypoints)))
        points.append(np.full((len(keypoints), 3), np.nan))
        for index, seen in enumerate(image.points2D):
            if seen.has_point3D():
                points[-1][index] = model.point3D(seen.point3D_id).xyz
    found = {}
    for pair, matched in matches.pairs.items():
        if all(image in place for image in pair):
            both = (place[pair[0]], place[pair[1]])
            one, other = (rays[index][k] for index, k in zip(both, matched.T, strict=True))
            first, second = (points[index][k] for index, k in zip(both, matched.T, strict=True))
            found[both] = SeenMatches(
                rays=(one, other), points=(first, second), distinct=matches.distinct[pair]
            )
    return found


def witnessed(judged: Judged, witness: pycolmap.Reconstruction) -> Judged:
    """With another model as its witness, if that agrees on more photos than the one it has."""
    alike = agreeing(judged.model, witness)
    if len(alike) <= len(judged.witnessed):
        return judged
    return replace(judged, witness=witness, witnessed=alike)


def agreeing(model: pycolmap.Reconstruction, other: pycolmap.Reconstruction) -> frozenset[int]:
    """Images that two models place alike."""
    found = agreement(model, other)
    if found is None:
        return frozenset()
    return frozenset(np.array(_shared(model, other))[found.right].tolist())


def agreement(model: pycolmap.Reconstruction, other: pycolmap.Reconstruction) -> Consensus | None:
    """On the photos that two models share; see :func:`tasks.metrics.consensus.align_agreeing`.

    Returns:
        The similarity from the other's world, and which of the shared photos agree, in the order
        of their ids. None where the models share too few, or no three of them agree.
    """
    images = _shared(model, other)
    if len(images) < (2 if model.num_reg_images() == 2 else MIN_PHOTOS):
        return None
    one, another = (_cameras(each, images) for each in (model, other))
    extent = 2 * float(np.linalg.norm(one.centres - one.centres.mean(0), axis=1).max())
    return align_agreeing(one, another, extent=extent) if extent > 0 else None


def _shared(model: pycolmap.Reconstruction, other: pycolmap.Reconstruction) -> list[int]:
    return sorted(set(model.reg_image_ids()) & set(other.reg_image_ids()))


def _cameras(model: pycolmap.Reconstruction, images: Sequence[int]) -> Cameras:
    cameras = [model.camera(model.image(image).camera_id) for image in images]
    return Cameras(
        names=tuple(str(image) for image in images),
        camera_from_world=_poses(model, images),
        intrinsics=np.stack([camera.calibration_matrix() for camera in cameras]),
        sizes=np.array([(camera.width, camera.height) for camera in cameras], dtype=np.int64),
    )


def _poses(model: pycolmap.Reconstruction, images: Sequence[int]) -> Float64[np.ndarray, "n 4 4"]:
    poses = [model.image(image).cam_from_world().matrix() for image in images]
    return np.array([np.vstack([pose, [0.0, 0.0, 0.0, 1.0]]) for pose in poses]).reshape(-1, 4, 4)
