"""Attempts at a model, from cheap to costly, and the choice among them.

Runs in the child process, like :mod:`tasks.sfm.worker`.

A pose is sure where its pairs confirm it (:func:`tasks.sfm.evidence.confirmed`) and where a witness
agrees: a model that a mapper makes of the same pairs from another start. An attempt has features of
one kind and makes one model after the other until one is sure of all its photos. A model is better
by its sure photos; registered ones without evidence do not count, so that a model with more wrong
photos never wins. The first attempt that is sure of every photo of the scene ends the ladder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pycolmap

from tasks.sfm.child import Report, part
from tasks.sfm.config import FeatureName, MapperName
from tasks.sfm.databases import Databases, databases_of, strict_matches
from tasks.sfm.exchange import Request, Rung
from tasks.sfm.features.exchange import Pair
from tasks.sfm.judged import Judged, judge, witnessed
from tasks.sfm.mappers import Start, map_photos


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Climbed:
    """What the ladder came to."""

    rungs: tuple[Rung, ...]
    best: Judged | None
    """None where no attempt registered a photo."""
    groups: tuple[frozenset[int], ...]
    """Images of each model of the chosen attempt, largest first; an image can be in several."""
    pieces: tuple[pycolmap.Reconstruction, ...]
    """The models of the chosen attempt but for the best."""
    databases: Databases
    """Of the chosen attempt."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Attempt:
    rung: Rung
    best: Judged | None
    groups: tuple[frozenset[int], ...]
    pieces: tuple[pycolmap.Reconstruction, ...]
    databases: Databases

    @property
    def score(self) -> tuple[int, int]:
        return _score(self.best)


def _score(judged: Judged | None) -> tuple[int, int]:
    """Larger is better: sure photos; of equally many, fewer that are not."""
    if judged is None:
        return -1, 0
    return len(judged.sure), len(judged.sure) - len(judged.images)


def climb(request: Request, pairs: Sequence[Pair], report: Report) -> Climbed:
    """Make one attempt after the other until one is sure of every photo.

    Networks match only pairs that the attempts before have left open: those of two sure photos cost
    most of the time and add nothing.

    Args:
        pairs: photos to match.
    """
    plan = [
        features
        for features in request.config.attempts()
        if features == "sift"
        or (request.weights is not None and request.weights.aliked is not None)
    ]
    assert plan, "features of networks alone come with their weights"
    attempts: list[_Attempt] = []
    for number, planned in enumerate(plan):
        of_attempt = part(report, number / len(plan), (number + 1) / len(plan))
        sure = max((one.best.sure for one in attempts if one.best), key=len, default=frozenset())
        left_open = [pair for pair in pairs if not sure.issuperset(photo + 1 for photo in pair)]
        attempts.append(_attempt(request, left_open, planned, of_attempt))
        if attempts[-1].rung.sure == len(request.mapped):
            break
    best = max(attempts, key=lambda one: one.score)  # of equals the first
    return Climbed(
        rungs=tuple(replace(one.rung, chosen=one is best) for one in attempts),
        best=best.best,
        groups=best.groups,
        pieces=best.pieces,
        databases=best.databases,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Made:
    """The models that a mapper made from one start."""

    start: Start
    models: tuple[Judged, ...]

    @property
    def best(self) -> Judged | None:
        return max(self.models, key=_score, default=None)

    def witnessed_by(self, other: "_Made") -> "_Made":
        models = self.models
        for witness in other.models:
            models = tuple(witnessed(one, witness.model) for one in models)
        return replace(self, models=models)


def _attempt(
    request: Request, pairs: Sequence[Pair], features: FeatureName, report: Report
) -> _Attempt:
    databases = databases_of(request, features, pairs, part(report, 0.0, 0.7))
    matches = strict_matches(databases)
    tried = starts(request)
    made: list[_Made] = []
    for number, start in enumerate(tried):
        begins, ends = (0.7 + 0.3 * (number + more) / len(tried) for more in (0, 1))
        on_registered = _registered(part(report, begins, ends), len(request.mapped))
        folder = request.folder / f"{features}-{number}"
        models = map_photos(request, databases.strict, start, folder, on_registered)
        new = _Made(start=start, models=tuple(judge(model, matches) for model in models))
        made = [one.witnessed_by(new) for one in made]
        for one in made:
            new = new.witnessed_by(one)
        made.append(new)
        wanted = [one for one in made if request.config.mapper in ("auto", one.start.mapper)]
        chosen = max(wanted, key=lambda one: _score(one.best))  # of equals the first
        best = chosen.best
        if best is not None and len(best.sure) == len(best.images):
            break
    return _Attempt(
        rung=Rung(
            features=features,
            mapper=chosen.start.mapper,
            focal_factor=chosen.start.focal_factor,
            registered=len(best.images) if best else 0,
            sure=len(best.sure) if best else 0,
            chosen=False,
        ),
        best=best,
        groups=tuple(frozenset(one.images) for one in chosen.models),
        pieces=tuple(one.model for one in chosen.models if one is not best),
        databases=databases,
    )


def starts(request: Request) -> tuple[Start, ...]:
    """From where the mappers start, in turn, until a model is sure of all its photos.

    Where focal lengths are guesses, each of the first starts has another guess: where few photos
    leave the focal length open, a mapper ends with a wrong one near its guess, and models of
    different guesses then disagree.
    """
    used = {request.camera_of_photo[photo] for photo in request.mapped}
    asked = request.config.mapper
    first: MapperName = "incremental" if asked == "auto" else asked
    other: MapperName = "incremental" if first == "global" else "global"
    if not any(request.cameras[camera].focal_is_guessed for camera in used):
        return Start(mapper=first), Start(mapper=other), Start(mapper=first, more_seed=1)
    return (
        Start(mapper=first),
        Start(mapper=other, focal_factor=0.7),
        Start(mapper=first, focal_factor=0.7),
        Start(mapper=first, focal_factor=1.4),
        Start(mapper=other),
    )


def _registered(report: Report, count: int) -> Callable[[int], None]:
    def on_registered(registered: int) -> None:
        report(min(registered / count, 1.0), f"registered {registered} of {count} photos")

    return on_registered
