"""Scores of rendered views against photos, and of cameras and depth against reference data."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from tasks.cameras import Cameras
from tasks.evaluate.held_out import RefinedView, RefineView
from tasks.evaluate.poses import PoseEvidence, pose_rows
from tasks.gaussians import Gaussians
from tasks.images import fitted_sizes, from_uint8, resized, resized_mask
from tasks.ingest.artefact import Photos
from tasks.metrics.calibration import ause_over_random, spearman
from tasks.metrics.depth import DepthScore, score_depth
from tasks.metrics.edges import edge_energy
from tasks.metrics.images import psnr_db, ssim
from tasks.metrics.perceptual.load import DistanceTo
from tasks.metrics.poses import pose_errors, summarise_poses
from tasks.runtime.context import Context, Device
from tasks.runtime.threads import torch_threads
from tasks.sfm.artefact import Sparse
from tasks.splat.render import render

Split = Literal["train", "validation", "held_out", "not_fitted"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedSplats:
    """Splats that the stages fitted to the same photos of a scene."""

    stages: Mapping[str, Gaussians]
    """By stage. That of ``splat`` is scored on all photos, others on held-out ones."""
    ensemble: Sequence[Gaussians] = ()
    training: frozenset[str]
    """Photos that the splats were fitted to."""
    held_out: frozenset[str]
    """Photos that nothing was fitted to or chosen by."""
    not_fitted: frozenset[str] = frozenset()
    """Photos left out of the fit that the initial splat may have been fitted to."""
    longest_edge: int
    """Of the photos that the splats were fitted to, px."""

    def split(self, name: str) -> Split:
        """The part of the photos that a photo belongs to."""
        if name in self.held_out:
            return "held_out"
        if name in self.not_fitted:
            return "not_fitted"
        return "train" if name in self.training else "validation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Similarity of a picture and its photo."""

    psnr_db: float
    ssim: float
    edge_energy: float | None
    """Share of the photo's; None where that has none."""
    st_lpips: float | None = None
    """None where it was not asked for or the weights are not there, as is the next."""
    lpips: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How well confidence predicts the error of a view's pixels; see the functions named so."""

    spearman: float
    ause_over_random: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredView:
    """The pictures of one photo's pose with their scores."""

    name: str
    split: Split
    photo: UInt8[np.ndarray, "h w 3"]
    pictures: Mapping[str, Float32[np.ndarray, "h w 3"]]
    """By stage, in [0, 1]."""
    scores: Mapping[str, Score]
    """By stage."""
    confidence: Float32[np.ndarray, "h w"] | None = None
    calibration: Calibration | None = None
    """Of the confidence; both of held-out photos alone."""


def score_views(
    sparse: Sparse,
    splats: FittedSplats,
    *,
    refine: RefineView | None = None,
    perceptual: Mapping[str, DistanceTo] = MappingProxyType({}),
    context: Context = Context(),
) -> Iterator[ScoredView]:
    """Render and score every photo's pose, one photo at a time.

    Args:
        refine: of the splat's views; gives the refined pictures and the confidence.
        perceptual: perceptual distances by name, of held-out photos alone: they take long.
    """
    cameras = sparse.cameras
    cameras = cameras.resized(fitted_sizes(cameras.sizes, splats.longest_edge))
    for index, name in enumerate(cameras.names):
        context.progress(index / (len(cameras) + 1), f"scoring {name}")
        camera, size = cameras.select([index]), cameras.size(index)
        photo, mask = resized(sparse.photos[index], size), sparse.masks[index]
        # A pixel counts if all of it does.
        use = None if mask is None else resized_mask(mask, size)
        split = splats.split(name)
        pictures = _pictures(splats, camera, held_out=split == "held_out", device=context.device)
        refined, calibration = None, None
        if split == "held_out" and refine is not None:
            refined = refine(camera)
            if refined.refined is not None:
                pictures["refine"] = refined.refined
            calibration = _calibration(refined, photo, use)
        yield ScoredView(
            name=name,
            split=split,
            photo=photo,
            pictures=pictures,
            scores=scores_of(
                pictures,
                photo,
                use,
                perceptual=perceptual if split == "held_out" else {},
                threads=context.threads,
            ),
            confidence=None if refined is None else refined.confidence,
            calibration=calibration,
        )


def _pictures(
    splats: FittedSplats, camera: Cameras, *, held_out: bool, device: Device
) -> dict[str, Float32[np.ndarray, "h w 3"]]:
    """Renders by stage; ``ensemble`` is the mean of the splat's and the ensemble's."""

    def rendered(splat: Gaussians) -> Float32[np.ndarray, "h w 3"]:
        return render(splat, camera, 0, device=device).rgb.clamp(0, 1).cpu().numpy()

    shown = splats.stages if held_out else {"splat": splats.stages["splat"]}
    pictures = {stage: rendered(splat) for stage, splat in shown.items()}
    if held_out and splats.ensemble:
        members = [rendered(member) for member in splats.ensemble]
        pictures["ensemble"] = np.mean([pictures["splat"], *members], 0)
    return pictures


def _calibration(
    refined: RefinedView,
    photo: UInt8[np.ndarray, "h w 3"],
    use: Bool[np.ndarray, "h w"] | None,
) -> Calibration:
    error = np.abs(refined.rendered - from_uint8(photo)).mean(2)
    counts = slice(None) if use is None else use
    trust, error = refined.confidence[counts], error[counts]
    return Calibration(
        spearman=spearman(trust, error), ause_over_random=ause_over_random(trust, error)
    )


def scores_of(
    pictures: Mapping[str, Float32[np.ndarray, "h w 3"]],
    photo: UInt8[np.ndarray, "h w 3"],
    use: Bool[np.ndarray, "h w"] | None = None,
    *,
    perceptual: Mapping[str, DistanceTo] = MappingProxyType({}),
    threads: int | None = None,
) -> dict[str, Score]:
    """Compare pictures in [0, 1] with a photo, on the pixels where ``use`` is true.

    Args:
        perceptual: as in :func:`score_views`.
        threads: CPU threads of their networks.
    """
    truth = from_uint8(photo)
    with torch_threads(threads):
        distances = {name: distance_to(truth, use) for name, distance_to in perceptual.items()}
        found = {
            stage: {name: distance(picture) for name, distance in distances.items()}
            for stage, picture in pictures.items()
        }
    return {
        stage: Score(
            psnr_db=psnr_db(picture, truth, use),
            ssim=ssim(picture, truth, use),
            edge_energy=edge_energy(picture, truth, use),
            **found[stage],
        )
        for stage, picture in pictures.items()
    }


def score_against_reference(
    photos: Photos,
    sparse: Sparse,
    splats: FittedSplats,
    *,
    evidence: PoseEvidence = PoseEvidence(),
    context: Context = Context(),
) -> dict[str, Any]:
    """Errors of poses and of the splat's depth against the reference cameras of the input.

    Args:
        evidence: the reconstruction's own, for its poses.

    Returns:
        Rows of the tables ``poses``, one a photo, and ``geometry``, empty without an alignment
        with reference cameras; and ``pose_summary``, None without any. JSON-able.
    """
    reference = photos.reference()
    if reference is None:
        rows = pose_rows(photos.names, None, evidence)
        return {"poses": rows, "geometry": [], "pose_summary": None}
    errors = pose_errors(reference, sparse.cameras)
    summary = summarise_poses(reference, sparse.cameras, errors=errors, sure=evidence.sure)
    geometry: list[dict[str, Any]] = []
    if errors.reference_from_model is not None:
        depths = score_depths(
            splats.stages["splat"],
            sparse.cameras,
            reference,
            photos.depth_m,
            photos.depth_names,
            metres_from_world=errors.reference_from_model.scale,
            device=context.device,
        )
        geometry = [_depth_row(name, splats.split(name), score) for name, score in depths]
    return {
        "pose_summary": asdict(summary),
        "poses": pose_rows(photos.names, errors, evidence),
        "geometry": [row for row in geometry if row["pixels"]],
    }


def _depth_row(name: str, split: Split, score: DepthScore) -> dict[str, Any]:
    return {
        "view": name,
        "split": split,
        "pixels": score.pixels,
        "coverage": score.coverage,
        "depth_error_relative": score.median_relative_error,
        "depth_share_within_5_percent": score.within_5_percent,
    }


def score_depths(
    gaussians: Gaussians,
    cameras: Cameras,
    reference: Cameras,
    depth_m: Callable[[str], Float32[np.ndarray, "_ _"]],
    names: Collection[str],
    *,
    metres_from_world: float,
    device: Device = "cpu",
) -> Iterator[tuple[str, DepthScore]]:
    """Compare rendered depth with depth maps.

    The splat is rendered from the estimated pose with the reference's intrinsics, in the pixels of
    the map: the comparison is of depth, not of the few pixels by which two calibrations differ.

    Args:
        names: photos with a depth map; those without a pose or a reference are skipped.
        metres_from_world: scale of the alignment of the poses.
    """
    pose_of = {name: index for index, name in enumerate(cameras.names)}
    reference_of = {name: index for index, name in enumerate(reference.names)}
    for name in names:
        if name not in pose_of or name not in reference_of:
            continue
        known = depth_m(name)
        like = reference.select([reference_of[name]]).resized(
            np.array([[known.shape[1], known.shape[0]]], dtype=np.int64)
        )
        camera = Cameras(
            names=(name,),
            camera_from_world=cameras.camera_from_world[[pose_of[name]]],
            intrinsics=like.intrinsics,
            sizes=like.sizes,
        )
        depth = render(gaussians.foreground, camera, 0, with_depth=True, device=device).depth
        assert depth is not None
        yield (
            name,
            score_depth(depth.cpu().numpy(), known, reference_from_model_scale=metres_from_world),
        )
