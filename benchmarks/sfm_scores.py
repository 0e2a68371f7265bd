"""Which cameras of a model are right; a part of ``benchmarks/sfm.py``."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tasks.cameras import Cameras, rotation_angles
from tasks.errors import DegenerateGeometryError
from tasks.metrics.similarity import align_cameras

RIGHT_DEG = 5.0
RIGHT_SHARE = 0.05
"""Of the extent: twice the largest distance of a reference centre from their mean."""
LEAST_RIGHT = 3
AUC_DEG = (1.0, 3.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Cameras of a model against their references."""

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    unknown: tuple[str, ...]
    """Without a reference."""
    rotation_deg: float | None
    """Median of the right ones."""
    centre_share: float | None
    """The same, share of the extent."""
    auc: tuple[float, ...]
    """Area under the recall of relative poses up to each of ``AUC_DEG``, 0 to 1."""


def judged(reference: Cameras, model: Cameras) -> Judged:
    """Right are the cameras of the largest set that one similarity brings within 5 degrees and 5 %
    of the extent of their references. Fewer than 3 are none, unless they are a majority: two
    neighbours agree by themselves."""
    names = [name for name in model.names if name in set(reference.names)]
    unknown = tuple(name for name in model.names if name not in names)
    extent = 2 * float(np.linalg.norm(reference.centres - reference.centres.mean(0), axis=1).max())
    mine = model.select(model.indices_of(names))
    theirs = reference.select(reference.indices_of(names))
    turn_deg, share = _errors_of_largest_set(theirs, mine, extent)
    right = (turn_deg <= RIGHT_DEG) & (share <= RIGHT_SHARE)
    if right.sum() < min(LEAST_RIGHT, len(names) // 2 + 1) or right.sum() < 2:
        right[:] = False
    return Judged(
        right=tuple(name for name, good in zip(names, right, strict=True) if good),
        wrong=tuple(name for name, good in zip(names, right, strict=True) if not good),
        unknown=unknown,
        rotation_deg=float(np.median(turn_deg[right])) if right.any() else None,
        centre_share=float(np.median(share[right])) if right.any() else None,
        auc=relative_auc(theirs, mine, len(reference)),
    )


def _errors_of_largest_set(
    reference: Cameras, model: Cameras, extent: float
) -> tuple[np.ndarray, np.ndarray]:
    """Degrees, and shares of the extent, after the similarity that most cameras agree on."""
    best = np.full(len(model), np.inf), np.full(len(model), np.inf)
    score = (0, 0.0)
    for pair in combinations(range(len(model)), 2):
        chosen = np.array(pair)
        for _ in range(5):  # fit again to all that agree, until these stay the same
            try:
                errors = _errors(reference, model, chosen, extent)
            except DegenerateGeometryError:
                break
            agrees = (errors[0] <= RIGHT_DEG) & (errors[1] <= RIGHT_SHARE)
            left = float((errors[0] / RIGHT_DEG + errors[1] / RIGHT_SHARE)[agrees].sum())
            if (int(agrees.sum()), -left) > score:
                best, score = errors, (int(agrees.sum()), -left)
            if agrees.sum() < 2 or np.array_equal(np.flatnonzero(agrees), chosen):
                break
            chosen = np.flatnonzero(agrees)
        if score[0] == len(model):
            break
    return best


def _errors(
    reference: Cameras, model: Cameras, chosen: np.ndarray, extent: float
) -> tuple[np.ndarray, np.ndarray]:
    indices = chosen.tolist()
    fitted = align_cameras(reference.select(indices), model.select(indices)).apply_to_cameras(model)
    turn = rotation_angles(
        reference.camera_from_world[:, :3, :3], fitted.camera_from_world[:, :3, :3]
    )
    distance = np.linalg.norm(fitted.centres - reference.centres, axis=1)
    return np.degrees(turn), distance / extent


def relative_auc(reference: Cameras, model: Cameras, photos: int) -> tuple[float, ...]:
    """Area under the recall of relative poses, as in Jin et al., IJCV 129, 2021, sec. 3.3.

    Args:
        reference, model: the same cameras in the same order.
        photos: how many could have a camera; a pair with a missing one is wrong by any angle.
    """
    first, second = np.triu_indices(len(reference), k=1)
    turns, directions = [], []
    for cameras in (reference, model):
        rotations, centres = cameras.camera_from_world[:, :3, :3], cameras.centres
        turns.append(rotations[second] @ np.swapaxes(rotations[first], 1, 2))
        away = np.einsum("pij,pj->pi", rotations[first], centres[second] - centres[first])
        directions.append(away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12))
    across = np.linalg.norm(np.cross(*directions), axis=1)
    angle = np.arctan2(across, (directions[0] * directions[1]).sum(1))
    error = np.degrees(np.maximum(rotation_angles(*turns), angle))
    pairs = max(photos * (photos - 1) // 2, 1)
    return tuple(float(np.maximum(1 - error / limit, 0).sum() / pairs) for limit in AUC_DEG)
