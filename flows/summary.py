"""Rows of the tables, read from a scene's artefacts: recalled or computed, they are the same."""

from collections.abc import Iterable, Mapping
from statistics import fmean, median
from typing import Any

from storage.handles import ArrayHandle

Row = dict[str, Any]


def rows_of(artefacts: Mapping[str, ArrayHandle]) -> dict[str, list[Row]]:
    """The rows of ``views``, ``poses``, ``geometry`` and ``training``."""
    evaluation = artefacts["evaluation"].attributes
    splat = artefacts["splat"]
    curve = zip(
        splat.array("curve_iteration").tolist(),
        splat.array("curve_loss").tolist(),
        splat.array("curve_gaussians").tolist(),
        strict=True,
    )
    return {
        "views": [{"stage": "splat", **row} for row in evaluation["views"]],
        "poses": evaluation["poses"],
        "geometry": evaluation["geometry"],
        "training": [
            {"stage": "splat", "iteration": iteration, "loss": loss, "gaussians": gaussians}
            for iteration, loss, gaussians in curve
        ],
    }


def summary_of(artefacts: Mapping[str, ArrayHandle]) -> Row:
    """The figures of a scene's row in ``scenes``."""
    photos = artefacts["photos"].attributes
    sparse = artefacts["sparse"].attributes
    splat = artefacts["splat"].attributes
    evaluation = artefacts["evaluation"].attributes
    held_out = [row for row in evaluation["views"] if row["split"] == "held_out"]
    poses = evaluation["pose_summary"] or {}
    rejected = photos["rejected"]
    return {
        "photos": len(photos["photos"]),
        "photos_rejected": len(rejected),
        "rejected": "; ".join(f"{one['name']}: {one['reason']}" for one in rejected) or None,
        "registered_share": len(sparse["names"]) / len(photos["photos"]),
        "reprojection_error_px": sparse["reprojection_error_px"],
        "training_photos": len(splat["training"]),
        "held_out_photos": len(splat["held_out"]),
        "gaussians": splat["gaussians"],
        "psnr_db": _mean(row["psnr_db"] for row in held_out),
        "ssim": _mean(row["ssim"] for row in held_out),
        "rotation_error_deg": poses.get("rotation_median_deg"),
        "centre_error": poses.get("centre_rmse"),
        "centre_error_relative": poses.get("centre_rmse_relative"),
        "pose_auc_5": poses.get("auc_5"),
        "depth_error_relative": _median(
            row["depth_error_relative"] for row in evaluation["geometry"]
        ),
    }


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None
