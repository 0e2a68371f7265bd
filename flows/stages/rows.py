"""Rows of the tables, read from a scene's artefacts: recalled or computed, they are the same."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from storage.handles import ArrayHandle
from tasks.metrics.gains import paired_gains, share_worse

Row = dict[str, Any]
Artefacts = Mapping[str, ArrayHandle]

LATER_STAGES = {
    "ensemble": ("splat", "ensemble"),
    "control": ("splat", "control"),
    "refined": ("splat", "refine"),
    "distilled": ("control", "distil"),
}
"""Columns of ``scenes`` that begin so: the stage compared with, and the stage they are about."""


def rows_of(artefacts: Artefacts) -> dict[str, list[Row]]:
    """The rows of all tables about views and training, as far as the scene's stages went."""
    rows: dict[str, list[Row]] = {"training": list(_curves(artefacts))}
    if evaluation := artefacts.get("evaluation"):
        for table in ("views", "gains", "confidence", "poses", "geometry"):
            rows[table] = evaluation.attributes[table]
    return rows


def _curves(artefacts: Artefacts) -> Iterator[Row]:
    for artefact, stage in (("splat", "splat"), ("control", "control"), ("distilled", "distil")):
        if artefact in artefacts:
            names = ("iteration", "loss", "gaussians", "held_out_psnr_db")
            stored = [artefacts[artefact].array(f"curve_{name}").tolist() for name in names]
            for point in zip(*stored, strict=True):
                row = {"stage": stage, **dict(zip(names, point, strict=True))}
                yield {name: None if value != value else value for name, value in row.items()}


def summary_of(artefacts: Artefacts) -> Row:
    """The figures of a scene's row in ``scenes``, as far as its stages went."""
    attributes = {name: handle.attributes for name, handle in artefacts.items()}
    photos = attributes["photos"]
    rejected = photos["rejected"]
    row: Row = {
        "photos": len(photos["photos"]),
        "photos_rejected": len(rejected),
        "rejected": "; ".join(f"{one['name']}: {one['reason']}" for one in rejected) or None,
    }
    if sparse := attributes.get("sparse"):
        row["registered_share"] = len(sparse["names"]) / len(photos["photos"])
        row["reprojection_error_px"] = sparse["reprojection_error_px"]
    if splat := attributes.get("splat"):
        row["training_photos"] = len(splat["training"])
        row["held_out_photos"] = len(splat["held_out"])
        row["gaussians"] = splat["gaussians"]
    if refined := attributes.get("refined"):
        row["refined_views"] = len(refined["names"])
        row["refined_views_rejected"] = len(refined["rejected"])
    if distilled := attributes.get("distilled"):
        row["selected"] = distilled["selected"]
    if evaluation := attributes.get("evaluation"):
        row |= _scores(evaluation)
    return row


def cost_of(stages: Sequence[Row], seconds: float) -> Row:
    """What a scene has cost, by the rows of its stages.

    Args:
        seconds: that it took, all in all.
    """
    cached = sum(row["cached"] for row in stages)
    peaks = [row["peak_memory_mib"] for row in stages if row.get("peak_memory_mib") is not None]
    return {
        "seconds": seconds,
        "peak_memory_mib": max(peaks, default=None),
        "stages_cached": cached,
        "stages_computed": len(stages) - cached,
    }


def _scores(evaluation: Mapping[str, Any]) -> Row:
    views = evaluation["views"]
    poses = evaluation["pose_summary"] or {}
    row = _means(views, "splat", "")
    for name, (before, after) in LATER_STAGES.items():
        row |= _means(views, after, f"{name}_")
        gains = paired_gains(views, before=before, after=after)
        if gains and name in ("refined", "distilled"):
            row[f"{name}_share_worse"] = share_worse(gains)
    return row | {
        "confidence_spearman": _mean(row["spearman"] for row in evaluation["confidence"]),
        "confidence_ause": _mean(row["ause_over_random"] for row in evaluation["confidence"]),
        "rotation_error_deg": poses.get("rotation_median_deg"),
        "centre_error": poses.get("centre_rmse"),
        "centre_error_relative": poses.get("centre_rmse_relative"),
        "pose_auc_5": poses.get("auc_5"),
        "depth_error_relative": _median(
            row["depth_error_relative"] for row in evaluation["geometry"]
        ),
    }


def _means(views: Iterable[Mapping[str, Any]], stage: str, prefix: str) -> Row:
    """Mean scores of one stage's held-out views."""
    held_out = [row for row in views if row["stage"] == stage and row["split"] == "held_out"]
    return {
        f"{prefix}psnr_db": _mean(row["psnr_db"] for row in held_out),
        f"{prefix}ssim": _mean(row["ssim"] for row in held_out),
    }


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None
