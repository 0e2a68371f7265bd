"""Rows of the tables, from a scene's artefacts: the same for a recalled and a computed scene."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from flows.config import STAGES, SceneConfig
from flows.stages.pipeline import SceneArtefacts
from storage.errors import UnseenError
from storage.names import showable
from tasks.distil.task import DISTIL
from tasks.metrics.gains import paired_gains, share_worse

Row = dict[str, Any]


def rows_of(artefacts: SceneArtefacts) -> dict[str, list[Row]]:
    """Rows of the tables about poses, views and training, as far as the scene's stages went."""
    rows: dict[str, list[Row]] = {"training": list(_curves(artefacts))}
    if artefacts.sparse:
        rows["attempts"] = artefacts.sparse.attributes["rungs"]
    if artefacts.evaluation:
        for table in ("views", "gains", "confidence", "poses", "geometry"):
            rows[table] = artefacts.evaluation.attributes[table]
    return rows


def _curves(artefacts: SceneArtefacts) -> Iterator[Row]:
    for stage in STAGES:
        for handle in artefacts.all_of(stage) if stage.curve else ():
            names = ("iteration", "loss", "gaussians", "held_out_psnr_db")
            stored = [handle.array(f"curve_{name}").tolist() for name in names]
            for point in zip(*stored, strict=True):
                row = {"stage": stage.name, **dict(zip(names, point, strict=True))}
                yield {name: None if value != value else value for name, value in row.items()}


def summary_of(artefacts: SceneArtefacts) -> Row:
    """The figures of a scene's row in ``scenes``, as far as its stages went."""
    assert artefacts.photos
    photos = artefacts.photos.attributes
    rejected = photos["rejected"]
    row: Row = {
        "photos": len(photos["photos"]),
        "photos_rejected": len(rejected),
        "rejected": "; ".join(f"{one['name']}: {one['reason']}" for one in rejected) or None,
        "inputs": "; ".join(photos["used"]),
    }
    if artefacts.sparse:
        sparse = artefacts.sparse.attributes
        row["protocol"] = sparse["protocol"]
        row["registered_share"] = len(sparse["names"]) / len(photos["photos"])
        row["left_out"] = "; ".join(f"{name}: {why}" for name, why in sparse["left_out"]) or None
        row["reprojection_error_px"] = sparse["reprojection_error_px"]
        sure = sparse["sure"]
        row["poses_sure"] = None if sure is None else sum(sure)
        row["pairing"] = sparse["pairing"]
        row |= {name: sparse["world"][name] for name in ("upright", "metric")}
        row["world_residual_m"] = sparse["world"]["residual_m"]
    if artefacts.splat:
        splat = artefacts.splat.attributes
        row["training_photos"] = len(splat["training"])
        row["held_out_photos"] = len(splat["held_out"])
        row["gaussians"] = splat["gaussians"]
    if artefacts.refined:
        refined = artefacts.refined.attributes
        row["refined_views"] = len(refined["names"])
        row["refined_views_rejected"] = len(refined["rejected"])
    if artefacts.evaluation:
        row |= _scores(artefacts.evaluation.attributes)
    return row


def selection_of(artefacts: SceneArtefacts, config: SceneConfig) -> Row:
    """Which splat a scene shows and exports, and why; nothing where it has none."""
    if artefacts.distilled:
        distilled = artefacts.distilled.attributes
        return {name: distilled[name] for name in ("selected", "selected_because")}
    if artefacts.splat is None:
        return {}
    reason = "nothing was distilled"
    training, most = len(artefacts.splat.attributes["training"]), config.distil.max_training_photos
    if config.stages.runs(DISTIL) and training > most:
        reason = f"distillation is skipped above {most} training photos"
    return {"selected": "splat", "selected_because": reason}


def cost_of(stages: Sequence[Row], seconds: float) -> Row:
    """Time, memory and cached stages of a scene.

    Args:
        stages: its rows in ``stages``.
        seconds: wall time of the whole scene.
    """
    cached = sum(row["cached"] for row in stages)
    peaks = [row["peak_memory_mib"] for row in stages if row.get("peak_memory_mib") is not None]
    return {
        "seconds": seconds,
        "peak_memory_mib": max(peaks, default=None),
        "stages_cached": cached,
        "stages_computed": len(stages) - cached,
    }


def describe(error: Exception) -> Row:
    """Type and message of an error; an error that was not raised on purpose is our mistake, and
    its message names its type."""
    kind = type(error).__name__
    message = str(error) if isinstance(error, UnseenError) else f"{kind}: {error}"
    return {"error_type": kind, "error_message": showable(message)}


def _scores(evaluation: Mapping[str, Any]) -> Row:
    views = evaluation["views"]
    poses = evaluation["pose_summary"] or {}
    row = _means(views, "splat", "")
    for stage in STAGES:
        if stage.compared_with:
            row |= _means(views, stage.name, f"{stage.artefact}_")
            gains = paired_gains(views, before=stage.compared_with, after=stage.name)
            if gains:
                row[f"{stage.artefact}_share_worse"] = share_worse(gains)
    return row | {
        "confidence_spearman": _mean(row["spearman"] for row in evaluation["confidence"]),
        "confidence_ause": _mean(row["ause_over_random"] for row in evaluation["confidence"]),
        **{
            f"poses_{name}": poses.get(name)
            for name in ("right", "wrong", "missing", "remark", "sure_wrong")
        },
        "rotation_error_deg": poses.get("rotation_median_deg"),
        "centre_error": poses.get("centre_median"),
        "centre_error_relative": poses.get("centre_median_relative"),
        **{f"pose_auc_{limit}": poses.get(f"auc_{limit}") for limit in (1, 3, 5)},
        "depth_error_relative": _median(
            row["depth_error_relative"] for row in evaluation["geometry"]
        ),
    }


def _means(views: Iterable[Mapping[str, Any]], stage: str, prefix: str) -> Row:
    """Mean scores of one stage's held-out views."""
    held_out = [row for row in views if row["stage"] == stage and row["split"] == "held_out"]
    return {
        f"{prefix}{name}": _mean(row[name] for row in held_out)
        for name in ("psnr_db", "ssim", "edge_energy", "st_lpips", "lpips")
    }


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return fmean(found) if found else None


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None
