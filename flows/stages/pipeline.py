"""The pipeline of a scene: its stages in order, and what each reads."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from flows.config import STAGES, SceneConfig
from storage.handles import ArrayHandle
from tasks.distil.task import CONTROL, DISTIL
from tasks.evaluate.config import HeldOutRefinement
from tasks.evaluate.task import EVALUATE
from tasks.ingest.containment import files_inside
from tasks.ingest.source import digest_files
from tasks.ingest.task import INGEST
from tasks.metrics.perceptual.files import PerceptualWeights, find_perceptual_weights
from tasks.refine.task import REFINE, REFINE_JOINTLY
from tasks.refine.weights import find_weights
from tasks.runtime.trust import Trust
from tasks.sfm.features.files import FeatureWeights
from tasks.sfm.task import SFM
from tasks.sfm.weights import weights_for
from tasks.source import Source
from tasks.splat.config import EveryNth, TrainOn
from tasks.splat.init.ply_source import find_start
from tasks.splat.split import named_split
from tasks.splat.task import ENSEMBLE, SPLAT
from tasks.stage import Stage
from tasks.views.task import VIEWS


class Run(Protocol):
    """Gives the artefact of a stage: computes it (:mod:`flows.stages.runner`) or recalls it
    (:mod:`flows.stages.recall`)."""

    def __call__(self, stage: Stage, **inputs: Any) -> ArrayHandle: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """The files that a scene's stages read."""

    photos: Source
    start: Source | None
    """Splat to start the fit from."""
    weights: Source | None
    """Of the refiner."""
    features: FeatureWeights | None
    """Of networks for features; None where none are needed, or none installed where there is a
    choice."""
    perceptual: PerceptualWeights | None
    """Of the perceptual figures; None where none is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneArtefacts:
    """The artefacts of a scene, by kind; None where the stage did not run."""

    photos: ArrayHandle | None = None
    sparse: ArrayHandle | None = None
    splat: ArrayHandle | None = None
    ensemble: tuple[ArrayHandle, ...] = ()
    views: ArrayHandle | None = None
    refined: ArrayHandle | None = None
    control: ArrayHandle | None = None
    distilled: ArrayHandle | None = None
    evaluation: ArrayHandle | None = None

    @classmethod
    def of(cls, made: Iterable[tuple[Stage, ArrayHandle]]) -> "SceneArtefacts":
        """Sort artefacts by the stage that made them; of several of one stage, all are kept where
        the stage makes several, else the last."""
        found: dict[str, Any] = {}
        for stage, handle in made:
            several = (*found.get(stage.artefact, ()), handle) if stage.several else handle
            found[stage.artefact] = several
        return cls(**found)

    def __iter__(self) -> Iterator[ArrayHandle]:
        """Every artefact."""
        for stage in STAGES:
            yield from self.all_of(stage)

    def all_of(self, stage: Stage) -> tuple[ArrayHandle, ...]:
        """The artefacts of a stage; none where it did not run."""
        found = getattr(self, stage.artefact)
        return found if isinstance(found, tuple) else () if found is None else (found,)


assert {one.name for one in fields(SceneArtefacts)} == {stage.artefact for stage in STAGES}


def find_source(
    folder: Path,
    config: SceneConfig,
    roots: Sequence[Path],
    trust: Trust = Trust(),
    lpips_backbone: Path | None = None,
) -> SceneSource:
    """Find and digest the files of a scene.

    Args:
        folder: of the scene's photos.
        roots: folders that links may lead to beside the scene's own.
        trust: in models of others.
        lpips_backbone: weights of LPIPS's backbone; None: torchvision's in torch's cache.

    Raises:
        InputError: a file is missing, leads out of the scene, or a model is not trusted.
    """
    runs = config.stages.runs
    return SceneSource(
        photos=digest_files(files_inside(folder, roots)),
        start=find_start(folder, config.splat.init, roots) if runs(SPLAT) else None,
        weights=find_weights(folder, config.refine, roots, trust) if runs(REFINE) else None,
        features=weights_for(config.sfm, folder, roots) if runs(SFM) else None,
        perceptual=_perceptual(config, lpips_backbone) if runs(EVALUATE) else None,
    )


def _perceptual(config: SceneConfig, lpips_backbone: Path | None) -> PerceptualWeights | None:
    network = config.evaluate.perceptual
    return None if network == "none" else find_perceptual_weights(network, lpips_backbone)


def reconstruct(run: Run, source: SceneSource, config: SceneConfig) -> SceneArtefacts:
    """Run or recall the stages that the config wants.

    Raises:
        UnseenError: as the stages do.
    """
    made: list[tuple[Stage, ArrayHandle]] = []

    def stage(declared: Stage, **inputs: Any) -> ArrayHandle | None:
        if not config.stages.runs(declared):
            return None
        handle = run(declared, **inputs)
        made.append((declared, handle))
        return handle

    photos = stage(INGEST, source=source.photos, config=config.ingest)
    split, own = _split_of(photos, config)
    sparse = stage(SFM, photos=photos, config=config.sfm, weights=source.features, **own)
    fit = {"sparse": sparse, "start": source.start, "split": split}
    splat = stage(SPLAT, **fit, config=config.splat)
    members = config.ensemble_splats(len(splat.attributes["training"])) if splat else ()
    ensemble = tuple(stage(ENSEMBLE, **fit, config=member) for member in members)
    views = stage(VIEWS, sparse=sparse, splat=splat, config=config.views)
    refine = {"sparse": sparse, "views": views, "weights": source.weights, "config": config.refine}
    if config.refine.joint is None:
        refined = stage(REFINE, **refine, ensemble=ensemble, views_config=config.views)
    else:
        refined = stage(REFINE_JOINTLY, **refine, splat=splat, splat_config=config.splat)
    splats = {"splat": splat}
    if splat and len(splat.attributes["training"]) <= config.distil.max_training_photos:
        further = {"sparse": sparse, "splat_config": config.splat}
        splats["control"] = stage(CONTROL, **further, splat=splat, config=config.distil.control)
        made_of = {"splats": dict(splats), "views": views, "refined": refined}
        splats["distil"] = stage(DISTIL, **further, **made_of, config=config.distil)
    stage(
        EVALUATE,
        photos=photos,
        sparse=sparse,
        splats={name: handle for name, handle in splats.items() if handle},
        ensemble=ensemble,
        refinement=_held_out_refinement(source, config),
        perceptual=source.perceptual,
    )
    return SceneArtefacts.of(made)


def _split_of(
    photos: ArrayHandle | None, config: SceneConfig
) -> tuple[EveryNth | TrainOn, dict[str, Any]]:
    """The split, and what the sfm stage is told of it: nothing where all photos give poses."""
    if photos is None or config.protocol == "shared-poses":
        return config.split, {}
    split = named_split([one["name"] for one in photos.attributes["photos"]], config.split)
    return split, {"training": split.photos}


def _held_out_refinement(source: SceneSource, config: SceneConfig) -> HeldOutRefinement | None:
    """How held-out poses are refined, to be scored; None where there are no views."""
    if not config.stages.runs(VIEWS):
        return None
    refine = config.refine if config.stages.runs(REFINE) else None
    return HeldOutRefinement(views=config.views, refine=refine, weights=source.weights)
