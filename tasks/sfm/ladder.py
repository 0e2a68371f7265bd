"""Attempts at a model, from cheap to costly, and the choice among them.

Runs in the child process, like :mod:`tasks.sfm.worker`.

A pose is sure where its pairs confirm it (:func:`tasks.sfm.evidence.confirmed`) and where a witness
agrees: the model that another mapper makes of the same pairs, or the same mapper by other chances
where that one fails. An attempt is better by its sure photos; registered ones without evidence do
not count, so that a model with more wrong photos never wins. The ladder ends with the first attempt
that is sure of every photo. Of the best model, photos that are not sure are taken out, and tried
once more against what is left.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pycolmap
from jaxtyping import Float64

from tasks.cameras import Cameras
from tasks.metrics.consensus import align_agreeing
from tasks.sfm.child import Report, part
from tasks.sfm.config import FeatureName, MapperName
from tasks.sfm.databases import Databases, databases_of
from tasks.sfm.evidence import (
    PairEvidence,
    SeenMatches,
    confidence,
    confirmed,
    contradicted,
    pair_evidence,
)
from tasks.sfm.exchange import Request, Rung
from tasks.sfm.features.exchange import Pair
from tasks.sfm.localise import localise_photos
from tasks.sfm.mappers import MIN_PHOTOS, map_photos
from tasks.sfm.verified import verified_pairs


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
    witness: pycolmap.Reconstruction | None
    """Another model of the same pairs."""
    witnessed: frozenset[int]
    """Images whose poses the witness agrees with."""

    @property
    def sure(self) -> frozenset[int]:
        return (self.confirmed & self.witnessed) - self.contradicted

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Climbed:
    """What the ladder came to."""

    rungs: tuple[Rung, ...]
    best: Judged | None
    """None where no attempt registered a photo."""
    groups: tuple[frozenset[int], ...]
    """Images of each model of the chosen attempt, largest first; an image can be in several."""
    databases: Databases
    """Of the chosen attempt."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Attempt:
    rung: Rung
    best: Judged | None
    groups: tuple[frozenset[int], ...]
    databases: Databases

    @property
    def score(self) -> tuple[int, int]:
        """Larger is better: sure photos; of equally many, fewer that are not."""
        return (-1, 0) if self.best is None else _score(self.best)


def _score(judged: Judged) -> tuple[int, int]:
    sure = len(judged.sure)
    return sure, sure - len(judged.images)


def climb(request: Request, pairs: Sequence[Pair], report: Report) -> Climbed:
    """Make one attempt after the other until one is sure of every photo.

    Args:
        pairs: photos to match.
    """
    plan = [
        (features, mapper)
        for features, mapper in request.config.attempts()
        if features == "sift"
        or (request.weights is not None and request.weights.aliked is not None)
    ]
    attempts = []
    for number, planned in enumerate(plan):
        of_attempt = part(report, number / len(plan), (number + 1) / len(plan))
        attempts.append(_attempt(request, pairs, planned, of_attempt))
        if attempts[-1].rung.sure == len(request.mapped):
            break
    best = max(attempts, key=lambda one: one.score)  # of equals the first
    return Climbed(
        rungs=tuple(replace(one.rung, chosen=one is best) for one in attempts),
        best=best.best,
        groups=best.groups,
        databases=best.databases,
    )


def _attempt(
    request: Request,
    pairs: Sequence[Pair],
    planned: tuple[FeatureName, MapperName],
    report: Report,
) -> _Attempt:
    features, mapper = planned
    databases = databases_of(request, features, pairs, part(report, 0.0, 0.7))
    folder = request.folder / f"{features}-{mapper}"
    on_registered = _registered(part(report, 0.7, 1.0), len(request.mapped))
    models = map_photos(request, databases.strict, mapper, folder, on_registered)
    judged = [judge(model, databases) for model in models]
    promising = max(judged, key=lambda one: len(one.confirmed), default=None)
    best = None if promising is None else witnessed(promising, request, databases, mapper)
    return _Attempt(
        rung=Rung(
            features=features,
            mapper=mapper,
            registered=len(best.images) if best else 0,
            sure=len(best.sure) if best else 0,
            chosen=False,
        ),
        best=best,
        groups=tuple(frozenset(model.reg_image_ids()) for model in models),
        databases=databases,
    )


def _registered(report: Report, count: int) -> Callable[[int], None]:
    def on_registered(registered: int) -> None:
        report(min(registered / count, 1.0), f"registered {registered} of {count} photos")

    return on_registered


def witnessed(judged: Judged, request: Request, databases: Databases, mapper: MapperName) -> Judged:
    """The same, with a witness: the first other model that agrees on enough photos to count."""
    others: tuple[tuple[MapperName, int], ...] = (
        ("global" if mapper == "incremental" else "incremental", 0),
        ("incremental", 1),
    )
    for other, chances in others:
        folder = databases.strict.with_suffix(f".{mapper}-{other}-{chances}")
        config = request.config.model_copy(update={"seed": request.config.seed + chances})
        seeded = replace(request, config=config)
        for model in map_photos(seeded, databases.strict, other, folder, lambda _: None):
            alike = agreeing(judged.model, model)
            if len(alike) > len(judged.witnessed):
                judged = replace(judged, witness=model, witnessed=alike)
        if len(judged.witnessed) >= MIN_PHOTOS:
            break
    return judged


def judge(
    model: pycolmap.Reconstruction,
    databases: Databases,
    witness: pycolmap.Reconstruction | None = None,
) -> Judged:
    """Compare a model with the strictly verified pairs of a database, and with another model."""
    images = tuple(sorted(model.reg_image_ids()))
    place = {image: index for index, image in enumerate(images)}
    cameras = {image: model.camera(model.image(image).camera_id) for image in images}
    pairs = pair_evidence(
        _poses(model, images),
        np.array([cameras[image].mean_focal_length() for image in images]),
        {
            (place[first], place[second]): seen
            for (first, second), seen in seen_matches(model, databases)
        },
    )

    def chosen(which: np.ndarray) -> frozenset[int]:
        return frozenset(np.array(images, dtype=np.int64)[which].tolist())

    return Judged(
        model=model,
        images=images,
        pairs=pairs,
        confirmed=chosen(confirmed(len(images), pairs)),
        contradicted=chosen(contradicted(len(images), pairs)),
        witness=witness,
        witnessed=frozenset() if witness is None else agreeing(model, witness),
    )


def seen_matches(
    model: pycolmap.Reconstruction, databases: Databases
) -> Iterator[tuple[tuple[int, int], SeenMatches]]:
    """The verified matches of every two images of a model."""
    opened = pycolmap.Database.open(str(databases.strict))
    distinct = _distinct(databases)
    rays: dict[int, np.ndarray] = {}
    points: dict[int, np.ndarray] = {}
    for image_id in model.reg_image_ids():
        image = model.image(image_id)
        camera = model.camera(image.camera_id)
        keypoints = np.asarray(opened.read_keypoints(image_id), np.float64)[:, :2]
        rays[image_id] = np.asarray(camera.cam_from_img(keypoints))
        points[image_id] = np.full((len(keypoints), 3), np.nan)
        for index, seen in enumerate(image.points2D):
            if seen.has_point3D():
                points[image_id][index] = model.point3D(seen.point3D_id).xyz
    for images, matched in verified_pairs(opened):
        if all(image in rays for image in images):
            both = tuple(zip(images, matched.T, strict=True))
            one, other = (rays[image][chosen] for image, chosen in both)
            first, second = (points[image][chosen] for image, chosen in both)
            kept = set() if distinct is None else distinct.get(images, set())
            known = [distinct is None or tuple(pair) in kept for pair in matched.tolist()]
            yield (
                images,
                SeenMatches(
                    rays=(one, other), points=(first, second), distinct=np.array(known, bool)
                ),
            )
    opened.close()


def _distinct(databases: Databases) -> dict[tuple[int, int], set[tuple[int, int]]] | None:
    """The distinct matches of every two images; None where all are."""
    if databases.distinct is None:
        return None
    opened = pycolmap.Database.open(str(databases.distinct))
    found = {
        pycolmap.pair_id_to_image_pair(pair_id): set(map(tuple, np.asarray(chosen).tolist()))
        for pair_id, chosen in zip(*opened.read_all_matches(), strict=True)
    }
    opened.close()
    return found


def agreeing(model: pycolmap.Reconstruction, other: pycolmap.Reconstruction) -> frozenset[int]:
    """Images that two models place alike; see :func:`tasks.metrics.consensus.align_agreeing`."""
    images = sorted(set(model.reg_image_ids()) & set(other.reg_image_ids()))
    if len(images) < MIN_PHOTOS:
        return frozenset()
    one, another = (_cameras(each, images) for each in (model, other))
    extent = 2 * float(np.linalg.norm(one.centres - one.centres.mean(0), axis=1).max())
    found = align_agreeing(one, another, extent=extent) if extent > 0 else None
    if found is None:
        return frozenset()
    return frozenset(np.array(images)[found.right].tolist())


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


def finish(judged: Judged, request: Request, databases: Databases) -> Judged:
    """Take out the photos that are not sure, refine the rest, and try the others against it once.

    Where the config keeps doubtful photos, only contradicted ones are taken out.
    """
    keep = request.config.keep_doubtful
    doubtful = judged.contradicted if keep else frozenset(judged.images) - judged.sure
    if doubtful:
        _take_out(judged.model, doubtful)
        is_model = judged.model.num_reg_images() >= MIN_PHOTOS
        if is_model:
            _refine(judged.model, request)
        judged = judge(judged.model, databases, judged.witness)
        if not is_model:
            return judged
    return with_further(judged, request, databases, request.mapped)


def _refine(model: pycolmap.Reconstruction, request: Request) -> None:
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = request.config.refine_principal_point
    options.print_summary = False
    options.ceres.solver_options.num_threads = request.threads
    pycolmap.bundle_adjustment(model, options)


def with_further(
    judged: Judged, request: Request, databases: Databases, photos: Sequence[int]
) -> Judged:
    """Localise photos against a model, and keep those that their pairs confirm.

    The witness has no say: it may not have tried to place them.

    Args:
        photos: indices in the request; those that the model has already stay as they are.
    """
    model = judged.model
    missing = {photo + 1 for photo in photos} - set(judged.images)
    if not missing:
        return judged
    if not localise_photos(model, request, [one - 1 for one in sorted(missing)], databases.strict):
        return judged
    found = judge(model, databases, judged.witness)
    unsupported = (missing & set(found.images)) - (found.confirmed - found.contradicted)
    if not unsupported:
        return found
    _take_out(model, unsupported)
    return judge(model, databases, judged.witness)


def _take_out(model: pycolmap.Reconstruction, images: Iterable[int]) -> None:
    for image in sorted(images):
        model.deregister_frame(model.image(image).frame_id)
