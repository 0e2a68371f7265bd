"""How sure the poses of a model are: evidence that can fail.

A mapper places a photo wherever enough of its matches fit, so that a small reprojection error says
little: repeated windows fit as well as the right ones. What can contradict a model is measured on
pairs of photos instead, each verified by its two photos alone and strictly (see
:data:`tasks.sfm.verified.STRICT`). A pair supports a model whose relative pose its matches fit, in
front of both cameras and with parallax, and contradicts one that they do not fit. Pairs that
support it and close a cycle confirm each other: independent estimates of relative poses do not add
up to the identity by chance.

Source: cycles as evidence: Zach et al., Disambiguating Visual Relations Using Loop Constraints,
CVPR 2010.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.sfm.epipolar import epipolar_errors, own_epipolar_errors

MAX_ERROR_PX = 2.0
"""Of a match that fits a model; strict verification allows 1 px with the pair's own geometry."""
MAX_MISFIT_SHARE = 0.15
"""Of a model whose photos can be sure: folded models of a front of equal bays had 0.2 and more,
right models at most 0.11."""
MAX_EXCESS = 1.5
"""Of a model whose photos can be sure. Right models had at most 1.1 (of a few photos 1.4), those
with a focal length a fifth off 1.6 to 2."""
MIN_OWN_ERROR_PX = 0.05
"""Below it pixels tell nothing."""
MAX_DISTANCE_PX = 4.0
"""Of a keypoint from the projection of a point: COLMAP's limit for its observations."""
MIN_FITTING_MATCHES = 30
MIN_DISTINCT_MATCHES = 15
MIN_FITTING_SHARE = 0.8
MAX_CONTRADICTING_SHARE = 0.3
"""Of matches that fit: a pair with no more contradicts the model."""
MIN_PARALLAX_DEG = 1.0
FOCAL_FACTORS = np.geomspace(0.6, 1.7, 6)
MAX_ROTATED = 200
"""Matches of a pair that a rotation is tried on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEvidence:
    """What the matches of two photos say of their poses in a model."""

    first: int
    second: int
    """Indices of the model's photos."""
    matches: int
    fitting: int
    """Matches that fit the model."""
    wide: int
    """Fitting matches whose rays meet at ``MIN_PARALLAX_DEG`` at least; none where ``turned``."""
    distinct: int
    """Wide matches that look like no other place; see
    :func:`tasks.sfm.features.distinct.distinct_matches`."""
    excess: float = 1.0
    """Median epipolar error of the matches over that of their own epipolar geometry."""
    turned: bool = False
    """Whether a rotation explains the matches: both photos may have been taken from one spot."""

    @property
    def misfits(self) -> bool:
        """Whether many of the matches fit no model that has these poses."""
        share = self.fitting / self.matches
        return share < MIN_FITTING_SHARE and self.matches >= MIN_FITTING_MATCHES

    @property
    def verdict(self) -> Literal["supports", "contradicts", "undecided"]:
        share = self.fitting / self.matches
        enough = self.wide >= MIN_FITTING_MATCHES and self.distinct >= MIN_DISTINCT_MATCHES
        if share >= MIN_FITTING_SHARE and enough:
            return "supports"
        if share <= MAX_CONTRADICTING_SHARE and self.matches >= MIN_FITTING_MATCHES:
            return "contradicts"
        return "undecided"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenMatches:
    """Strictly verified matches of two photos, with what a model makes of them."""

    rays: tuple[Float64[np.ndarray, "k 2"], Float64[np.ndarray, "k 2"]]
    """x / z and y / z in the first and in the second camera."""
    points: tuple[Float64[np.ndarray, "k 3"], Float64[np.ndarray, "k 3"]]
    """The model's point that the first, and that the second keypoint shows; NaN where it shows
    none."""
    distinct: Bool[np.ndarray, " k"]
    """Whether a match looks like no other place."""


def pair_evidence(
    camera_from_world: Float64[np.ndarray, "n 4 4"],
    focal_px: Float64[np.ndarray, " n"],
    matches: Mapping[tuple[int, int], SeenMatches],
) -> tuple[PairEvidence, ...]:
    """Compare the matches of every strictly verified pair with the poses of a model.

    A match fits where it lies near its epipolar line, in front of both cameras; and where a point
    of the model that one of its keypoints shows is seen near the other one, too: along epipolar
    lines, a camera that is turned by degrees fits a pair nearly as well.

    Args:
        focal_px: mean focal length of each photo's camera.
        matches: of each pair of photos.
    """
    return tuple(
        _evidence(first, second, seen, camera_from_world, focal_px)
        for (first, second), seen in matches.items()
    )


def _evidence(
    first: int,
    second: int,
    seen: SeenMatches,
    camera_from_world: Float64[np.ndarray, "n 4 4"],
    focal_px: Float64[np.ndarray, " n"],
) -> PairEvidence:
    matches = len(seen.distinct)
    # The lens of a wrong model may take pixels from no direction at all: such matches do not fit.
    known = np.isfinite(np.hstack(seen.rays)).all(1)
    one, other = (rays[known] for rays in seen.rays)
    if len(one) < MIN_FITTING_MATCHES:
        return PairEvidence(
            first=first, second=second, matches=matches, fitting=0, wide=0, distinct=0
        )
    pose = camera_from_world[second] @ np.linalg.inv(camera_from_world[first])
    focal = float(focal_px[[first, second]].mean())
    errors_px = epipolar_errors(one, other, pose) * focal
    behind, angle_deg = _triangulated(one, other, pose)
    wide = angle_deg >= MIN_PARALLAX_DEG
    turned = _rotation_explains(one, other, focal)
    if turned:
        wide[:] = False  # whatever the model makes of it
    fits = (errors_px <= MAX_ERROR_PX) & ~(behind & wide)
    for points, rays, photo in ((seen.points[0], other, second), (seen.points[1], one, first)):
        away_px = _distance(points[known], rays, camera_from_world[photo]) * focal
        fits &= ~(away_px > MAX_DISTANCE_PX)  # NaN, without a point, says nothing
    return PairEvidence(
        first=first,
        second=second,
        matches=matches,
        fitting=int(fits.sum()),
        wide=int((fits & wide).sum()),
        distinct=int((fits & wide & seen.distinct[known]).sum()),
        excess=_excess(errors_px, own_epipolar_errors(one, other) * focal),
        turned=turned,
    )


def _excess(errors_px: Float64[np.ndarray, " k"], own_px: Float64[np.ndarray, " k"]) -> float:
    return float(np.median(errors_px) / max(np.median(own_px), MIN_OWN_ERROR_PX))


def _rotation_explains(
    first: Float64[np.ndarray, "k 2"], second: Float64[np.ndarray, "k 2"], focal_px: float
) -> bool:
    """Whether a rotation of one camera in its place explains matches, at a focal length near the
    model's: photos from one spot give models with any parallax at a wrong focal length.

    Source: the rotation by Kabsch, Acta Cryst. A32, 1976, and once more on the better half.
    """
    step = max(1, len(first) // MAX_ROTATED)
    longer = FOCAL_FACTORS[:, None, None]
    one, other = (
        np.concatenate(
            [rays[None, ::step] / longer, np.ones((len(longer), len(rays[::step]), 1))], 2
        )
        for rays in (first, second)
    )
    one, other = (rays / np.linalg.norm(rays, axis=2, keepdims=True) for rays in (one, other))
    weight = np.ones(one.shape[:2])
    for _ in range(2):
        u, _, vt = np.linalg.svd(np.einsum("fk,fki,fkj->fij", weight, other, one))
        u[..., -1] *= np.linalg.det(u @ vt)[:, None]
        turned = one @ np.swapaxes(u @ vt, 1, 2)
        away_px = np.linalg.norm(turned - other, axis=2) * focal_px * FOCAL_FACTORS[:, None]
        weight = (away_px <= np.median(away_px, axis=1, keepdims=True)).astype(np.float64)
    return bool(((away_px <= MAX_ERROR_PX).mean(axis=1) >= MIN_FITTING_SHARE).any())


def _distance(
    points: Float64[np.ndarray, "k 3"],
    rays: Float64[np.ndarray, "k 2"],
    camera_from_world: Float64[np.ndarray, "4 4"],
) -> Float64[np.ndarray, " k"]:
    """Of each point's projection from a ray, in focal lengths; infinite behind the camera."""
    x, y, z = (points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.hypot(x / z - rays[:, 0], y / z - rays[:, 1])
    return np.where(z <= 0, np.inf, away)


def _triangulated(
    first: Float64[np.ndarray, "k 2"],
    second: Float64[np.ndarray, "k 2"],
    second_from_first: Float64[np.ndarray, "4 4"],
) -> tuple[Bool[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Whether the rays of each match come closest behind a camera, and their angle, deg.

    Source: the common perpendicular of two lines, Hartley and Zisserman, 2nd ed., ch. 12.
    """
    rotation, translation = second_from_first[:3, :3], second_from_first[:3, 3]
    one = np.hstack([first, np.ones((len(first), 1))])
    other = np.hstack([second, np.ones((len(second), 1))]) @ rotation  # in the first camera's axes
    baseline = -rotation.T @ translation
    a, b, c = (one * one).sum(1), (other * other).sum(1), (one * other).sum(1)
    along_one, along_other = one @ baseline, other @ baseline
    # Depths times a * b - c^2 >= 0, which only their signs need.
    behind = (along_one * b <= along_other * c) | (along_one * c <= along_other * a)
    angle = np.degrees(np.arccos(np.clip(c / np.sqrt(a * b), -1.0, 1.0)))
    return behind, angle


def confirmed(count: int, pairs: Sequence[PairEvidence]) -> Bool[np.ndarray, " n"]:
    """The largest group of photos of which every supporting pair closes a cycle within the group.

    None where the model as a whole does not fit its pairs (:func:`repeats`, :func:`excess`). Else a
    two-edge-connected component of the graph of supporting pairs, of three photos or more; of
    equally large ones the first. A photo that one pair alone holds is in no such group.

    Args:
        count: number of the model's photos.
    """
    edges = np.array(
        [(one.first, one.second) for one in pairs if one.verdict == "supports"], dtype=np.int64
    ).reshape(-1, 2)
    if repeats(count, pairs) or excess(pairs) > MAX_EXCESS:
        edges = edges[:0]
    kept = edges[~_bridges(count, edges)]
    graph = coo_array((np.ones(len(kept), bool), tuple(kept.T)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    sizes = np.bincount(group, minlength=1)
    largest = int(sizes.argmax()) if count else 0
    return (group == largest) & (sizes[largest] >= 3)


def excess(pairs: Sequence[PairEvidence]) -> float:
    """Median of the supporting pairs, each measured by itself; 1 where there are none.

    A pair's own epipolar geometry knows of no intrinsics and of no other photo. What a right model
    adds to its errors is little. A wrong focal length, which a model of few photos can hide by
    bending the scene, adds much, though every match stays within its tolerance.
    """
    supporting = [one.excess for one in pairs if one.verdict == "supports"]
    return float(np.median(supporting)) if supporting else 1.0


def misfits(count: int, pairs: Sequence[PairEvidence]) -> tuple[int, int]:
    """Pairs that do not fit the model, and all pairs, of photos that are not contradicted.

    Of a right model nearly all fit. Of a scene that repeats, such as a front of equal bays, photos
    of different bays match strictly; whichever of them a model puts together, others do not fit.
    """
    against = contradicted(count, pairs)
    rest = [one for one in pairs if not against[[one.first, one.second]].any()]
    return sum(one.misfits for one in rest), len(rest)


def repeats(count: int, pairs: Sequence[PairEvidence]) -> bool:
    """Whether too many pairs do not fit for any photo to be sure."""
    misfitting, tried = misfits(count, pairs)
    return misfitting > MAX_MISFIT_SHARE * tried


def _bridges(count: int, edges: Int64[np.ndarray, "m 2"]) -> Bool[np.ndarray, " m"]:
    """Edges on no cycle of an undirected graph without parallel edges.

    Source: Tarjan, A Note on Finding the Bridges of a Graph, Information Processing Letters 2(6),
    1974; depth first without recursion.
    """
    touching: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for index, (one, other) in enumerate(edges.tolist()):
        touching[one].append((other, index))
        touching[other].append((one, index))
    found = np.zeros(len(edges), bool)
    entered = [0] * count  # 0 = not yet
    lowest = [0] * count
    clock = 0
    for root in range(count):
        if entered[root]:
            continue
        clock += 1
        entered[root] = lowest[root] = clock
        stack = [(root, -1, iter(touching[root]))]
        while stack:
            photo, through, neighbours = stack[-1]
            for other, index in neighbours:
                if index == through:
                    continue
                if entered[other]:
                    lowest[photo] = min(lowest[photo], entered[other])
                    continue
                clock += 1
                entered[other] = lowest[other] = clock
                stack.append((other, index, iter(touching[other])))
                break
            else:
                stack.pop()
                if stack:
                    above = stack[-1][0]
                    lowest[above] = min(lowest[above], lowest[photo])
                    found[through] = lowest[photo] > entered[above]
    return found


def contradicted(count: int, pairs: Iterable[PairEvidence]) -> Bool[np.ndarray, " n"]:
    """Photos that at least as many pairs contradict as support."""
    balance = np.zeros((2, count), np.int64)
    for one in pairs:
        if one.verdict != "undecided":
            balance[int(one.verdict == "contradicts"), [one.first, one.second]] += 1
    return (balance[1] > 0) & (balance[1] >= balance[0])


def confidence(*, confirmed: bool, witnessed: bool, contradicted: bool) -> float:
    """Share of such poses that are right: measured for those with all evidence, else an estimate.

    Args:
        confirmed, contradicted: by pairs, as the functions above tell.
        witnessed: whether another model of the same pairs places the photo alike.
    """
    if contradicted:
        return 0.1
    return _SHARE_RIGHT[confirmed, witnessed]


_SHARE_RIGHT = {(True, True): 0.99, (True, False): 0.7, (False, True): 0.6, (False, False): 0.3}
"""Of confirmed and witnessed poses: the first measured (docs/results.md), the others estimates."""
