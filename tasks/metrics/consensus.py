"""The alignment that most cameras agree on, which strays do not move."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from tasks.cameras import Cameras, rotation_angles
from tasks.errors import DegenerateGeometryError
from tasks.metrics.similarity import Similarity, align_cameras

RIGHT_ROTATION_DEG = 5.0
RIGHT_CENTRE_RELATIVE = 0.05
"""Largest errors of a right pose: degrees, and a share of the reference's extent."""
MIN_AGREEING = 3
MIN_AGREEING_SHARE = 0.2
"""Cameras that must agree where they are no majority: two neighbours agree by themselves, and so
does the part of a mirrored or folded model that its fault happens to leave in place."""
MAX_TESTS = 4_000_000
"""Tests of a camera under a hypothesis; above 200 cameras, pairs are drawn at random."""
FITS_WELL = 0.25
"""Share of both tolerances, for the cameras of a first fit."""
MAX_FITS = 20
"""Of one set of cameras, each to those that are right under the one before."""
MAX_REFITS = 16
"""Different sets of cameras that are refined; the largest, and again those that rival them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Consensus:
    """The largest set of cameras that are right under one similarity fitted to them."""

    reference_from_model: Similarity
    right: Bool[np.ndarray, " n"]
    rival: int
    """Most cameras that are right under another similarity and mostly wrong under this one; 0 where
    they are too few to be evidence. As many as are right: which of the two wins is arbitrary."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Residuals:
    """What an alignment leaves of each camera's pose."""

    rotation_deg: Float64[np.ndarray, " n"]
    centre: Float64[np.ndarray, " n"]
    """Units of the reference."""

    def right(self, extent: float) -> Bool[np.ndarray, " n"]:
        """Cameras within both tolerances.

        Args:
            extent: of the reference, in its units.
        """
        turned = self.rotation_deg <= RIGHT_ROTATION_DEG
        return turned & (self.centre <= RIGHT_CENTRE_RELATIVE * extent)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    similarity: Similarity
    right: Bool[np.ndarray, " n"]
    residual: float

    @property
    def order(self) -> tuple[int, float, tuple[int, ...]]:
        """Less is better. Equal sizes and residuals: the set that has the first camera."""
        members = np.flatnonzero(self.right)
        return -len(members), round(self.residual, 9), tuple(members.tolist())


def align_agreeing(reference: Cameras, model: Cameras, *, extent: float) -> Consensus | None:
    """The least-squares similarity under which the most cameras are right.

    Every pair of cameras gives a similarity, from their rotations and the line between them. The
    cameras that are right under it give the next, by :func:`align_cameras`, until their set stays
    the same; and once more from those that fit it well, since one camera at the limit may turn a
    few that stand close together. The largest set wins, then the smaller residual. It is found by
    search: where noise comes near the tolerances, a set larger by a camera or two may be missed.

    Args:
        reference, model: the same cameras in the same order.
        extent: of the reference, in its units; the tolerance of centres is a share of it.

    Returns:
        None where no set is large enough to be evidence, see :func:`fewest_agreeing`. Rotations
        are proper, so a mirrored model does not agree.

    Source: the maximum of consistent data as in Fischler and Bolles, CACM 24(6), 1981, with local
    optimisation as in Chum, Matas and Kittler, DAGM 2003.
    """
    first, second = _pairs(reference.centres, model.centres)
    if len(first) == 0:
        return None
    errors = _errors_by_pair(reference, model, first, second, extent=extent)
    fits = errors <= 1
    pool = _refined(reference, model, errors, extent=extent)
    if not pool:
        return None
    best = min(pool, key=lambda one: one.order)
    apart = _mostly_outside(fits, best.right)
    pool += _refined(reference, model, errors[apart], extent=extent)
    best = min(pool, key=lambda one: one.order)
    sets = np.array([one.right for one in pool])
    sizes = sets[_mostly_outside(sets, best.right)].sum(1)
    rival, count = int(sizes.max(initial=0)), int(best.right.sum())
    fewest = fewest_agreeing(len(reference))
    if count < fewest:
        return None
    return Consensus(
        reference_from_model=best.similarity,
        right=best.right,
        rival=rival if rival >= fewest else 0,
    )


def residuals(reference: Cameras, model: Cameras, similarity: Similarity) -> Residuals:
    """Errors of the model's cameras, moved by ``similarity``; the same cameras in both."""
    turned = similarity.rotation @ model.world_from_camera[:, :3, :3]
    angles = rotation_angles(reference.world_from_camera[:, :3, :3], turned)
    offset = similarity.apply(model.centres) - reference.centres
    return Residuals(rotation_deg=np.degrees(angles), centre=np.linalg.norm(offset, axis=1))


def fewest_agreeing(common: int) -> int:
    """How many of the cameras in both sets are evidence if they agree: a majority is, and of many
    cameras fewer are."""
    return min(common // 2 + 1, max(MIN_AGREEING, ceil(MIN_AGREEING_SHARE * common)))


def _mostly_outside(
    sets: Bool[np.ndarray, "p n"], right: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " p"]:
    """Whether at least half of each set lies outside ``right``."""
    return 2 * (sets & ~right).sum(1) >= np.maximum(sets.sum(1), 1)


def _pairs(
    reference: Float64[np.ndarray, "n 3"], model: Float64[np.ndarray, "n 3"]
) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]:
    """Pairs of cameras whose centres differ in both worlds: all, or a fixed draw of many."""
    count = len(reference)
    most = MAX_TESTS // max(count, 1)
    if count * (count - 1) // 2 <= most:
        first, second = np.triu_indices(count, k=1)
    else:
        first, second = np.random.default_rng(0).integers(0, count, (2, most))
    apart = np.ones(len(first), dtype=bool)
    for centres in (reference, model):
        length = np.linalg.norm(centres[first] - centres[second], axis=1)
        apart &= length > 1e-9 * np.abs(centres).max(initial=0.0)
    return first[apart], second[apart]


def _errors_by_pair(
    reference: Cameras,
    model: Cameras,
    first: Int64[np.ndarray, " p"],
    second: Int64[np.ndarray, " p"],
    *,
    extent: float,
) -> Float32[np.ndarray, "p n"]:
    """Errors of the cameras under each pair's similarity: 1 at the limit of what is right."""
    known_turns = reference.world_from_camera[:, :3, :3]
    turns = known_turns @ model.world_from_camera[:, :3, :3].transpose(0, 2, 1)
    known = (reference.centres - reference.centres.mean(0)) / extent
    found = model.centres - model.centres.mean(0)
    errors = np.empty((len(first), len(known)), dtype=np.float32)
    step = max(MAX_TESTS // 4 // len(known), 1)
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        one, other = first[part], second[part]
        reach, line = known[other] - known[one], found[other] - found[one]
        rotation = _rotations_of_pairs(turns[one] + turns[other], reach, line)
        scale = np.linalg.norm(reach, axis=1) / np.linalg.norm(line, axis=1)
        matrix = scale[:, None, None] * rotation
        middle = (found[one] + found[other]) / 2
        shift = (known[one] + known[other]) / 2 - np.einsum("pij,pj->pi", matrix, middle)
        # trace(A.T @ B) of rotations is 1 + 2 cos of the angle between them
        cosine = (rotation.reshape(-1, 9) @ turns.reshape(-1, 9).T - 1) / 2
        turned = np.degrees(np.arccos(np.clip(cosine, -1, 1))) / RIGHT_ROTATION_DEG
        offset = matrix @ found.T + shift[:, :, None] - known.T
        off = np.sqrt((offset**2).sum(1)) / RIGHT_CENTRE_RELATIVE
        errors[part] = np.maximum(turned, off)
    return errors


def _rotations_of_pairs(
    turns: Float64[np.ndarray, "p 3 3"],
    reach: Float64[np.ndarray, "p 3"],
    line: Float64[np.ndarray, "p 3"],
) -> Float64[np.ndarray, "p 3 3"]:
    """The rotations nearest to two cameras' turns and to that of the line between them.

    Args:
        turns: sum of the two cameras' rotations from the model's world to the reference's.
        reach, line: between the centres, in the reference's world and in the model's.
    """
    across = reach[:, :, None] * line[:, None, :]
    size = np.linalg.norm(reach, axis=1) * np.linalg.norm(line, axis=1)
    u, _, vt = np.linalg.svd(turns + 2 * across / size[:, None, None])
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return np.asarray(u @ vt)


def _refined(
    reference: Cameras,
    model: Cameras,
    errors: Float32[np.ndarray, "p n"],
    *,
    extent: float,
) -> list[_Candidate]:
    """The largest different sets of cameras that are right, each fitted until it stays the same."""
    fits = errors <= 1
    size = fits.sum(1)
    residual = np.where(fits, errors**2, 0).sum(1) / np.maximum(size, 1)
    found: list[_Candidate] = []
    seen: set[bytes] = set()
    for index in np.lexsort((residual, -size)):
        if len(seen) == MAX_REFITS:
            break
        if (name := fits[index].tobytes()) in seen:
            continue
        seen.add(name)
        for chosen in (fits[index], errors[index] <= FITS_WELL):
            found += _settled(reference, model, chosen, extent=extent)
    return found


def _settled(
    reference: Cameras, model: Cameras, chosen: Bool[np.ndarray, " n"], *, extent: float
) -> list[_Candidate]:
    """Fit to the chosen cameras, choose those that are right, and so on until a set comes again.

    Returns:
        The best of these fits; nothing where the chosen cameras leave the scale open.
    """
    found: list[_Candidate] = []
    fitted: set[bytes] = set()
    while chosen.tobytes() not in fitted and len(fitted) < MAX_FITS:
        fitted.add(chosen.tobytes())
        members = np.flatnonzero(chosen).tolist()
        try:
            similarity = align_cameras(reference.select(members), model.select(members))
        except DegenerateGeometryError:
            break
        left = residuals(reference, model, similarity)
        chosen = left.right(extent)
        squares = (left.rotation_deg[chosen] / RIGHT_ROTATION_DEG) ** 2
        squares += (left.centre[chosen] / (RIGHT_CENTRE_RELATIVE * extent)) ** 2
        residual = float(squares.mean()) if chosen.any() else np.inf
        found.append(_Candidate(similarity=similarity, right=chosen, residual=residual))
    return sorted(found, key=lambda one: one.order)[:1]
