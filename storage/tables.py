"""The tables' columns: type and meaning of each; ``docs/data-layout.md`` is generated from them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    type: pa.DataType
    description: str


def _text(description: str) -> Column:
    return Column(type=pa.string(), description=description)


def _count(description: str) -> Column:
    return Column(type=pa.int64(), description=description)


def _number(description: str) -> Column:
    return Column(type=pa.float64(), description=description)


def _flag(description: str) -> Column:
    return Column(type=pa.bool_(), description=description)


_VIEW = _text("File name of the photo.")
_ROTATION = "Rotation against the reference camera, degrees; null without an alignment."
_CENTRE = "Distance of the centre from the reference camera's, reference units."
_PERCEPTUAL = {
    "edge_energy": _number("Edge energy, as a share of the photo's."),
    "st_lpips": _number("ST-LPIPS against the photo, less is better; null where not computed."),
    "lpips": _number("LPIPS against the photo, less is better; null without its weights."),
}
_PERCEPTUAL_MEANS = {
    f"{stage}{name}": _number(f"Mean over the held-out photos, as in `views`{of}.")
    for stage, of in (
        ("", ""),
        ("ensemble_", ", of the mean render of the splat and its ensemble"),
        ("control_", ", of the control"),
        ("refined_", ", of the refined views"),
        ("distilled_", ", of the distilled splat"),
    )
    for name in _PERCEPTUAL
}

TABLES: Mapping[str, Mapping[str, Column]] = {
    "scenes": {
        "state": _text(
            "`completed`, `failed`, `crashed` or `cancelled`; of a training also `started`."
        ),
        "error_type": _text("Class of the error that ended the scene."),
        "error_message": _text("Its sentence: what was found, why it stops the scene, the remedy."),
        "photos": _count("Usable photos."),
        "photos_rejected": _count("Photos that ingest refused."),
        "rejected": _text("Name and reason of each rejected photo."),
        "inputs": _text(
            "What ingest used: the source of cameras, photos by name that were turned, changed or "
            "left out, masks, depth maps, what was passed over."
        ),
        "protocol": _text("`shared-poses`, or `own-poses`: poses from the training photos alone."),
        "registered_share": _number("Share of the photos that structure from motion registered."),
        "left_out": _text("Name and reason of each photo without a pose."),
        "reprojection_error_px": _number("Mean reprojection error of the sparse points, px."),
        "pairing": _text("How pairs to match were chosen: `exhaustive`, `sequential`, ..."),
        "upright": _flag("Whether the world's z axis is known to point up."),
        "metric": _flag("Whether a world unit is known to be a metre."),
        "world_residual_m": _number(
            "RMS distance of the cameras from the positions that fixed the world, metres."
        ),
        "training_photos": _count("Photos that the splat is fitted to."),
        "held_out_photos": _count("Photos that it is scored against."),
        "gaussians": _count("Gaussians of the splat."),
        "psnr_db": _number("Mean over the held-out photos, of the splat."),
        "ssim": _number("Mean over the held-out photos, of the splat."),
        "ensemble_psnr_db": _number("The same of the mean render of the splat and its ensemble."),
        "ensemble_ssim": _number("The same of the mean render of the splat and its ensemble."),
        "ensemble_share_worse": _number(
            "Share of the held-out photos with a lower PSNR than the splat's."
        ),
        "control_psnr_db": _number("The same of the control: the splat fitted on with photos."),
        "control_ssim": _number("The same of the control."),
        "control_share_worse": _number("Share worse than the splat."),
        "refined_psnr_db": _number("The same of the refined views."),
        "refined_ssim": _number("The same of the refined views."),
        "refined_share_worse": _number("Share worse than the splat."),
        "refined_views": _count("Novel views that were refined."),
        "refined_views_rejected": _count("Of them, left as rendered by the gate."),
        "distilled_psnr_db": _number("The same of the distilled splat."),
        "distilled_ssim": _number("The same of the distilled splat."),
        "distilled_share_worse": _number("Share worse than the control."),
        **_PERCEPTUAL_MEANS,
        "selected": _text("Splat that the scene shows: `distilled`, `control` or `splat`."),
        "selected_because": _text("The evidence for it."),
        "confidence_spearman": _number("Mean rank correlation of confidence and negative error."),
        "confidence_ause": _number(
            "Mean area under the sparsification error curve, as a share of that of a random order."
        ),
        "poses_right": _count(
            "Photos whose pose is within 5 degrees and 5 % of the extent of the reference, under "
            "the alignment that the most poses agree on."
        ),
        "poses_wrong": _count("Photos with a reference whose pose is not."),
        "poses_missing": _count("Photos with a reference and no pose."),
        "poses_remark": _text("Wrong poses by name; a tie of two alignments; why none is judged."),
        "poses_sure": _count("Poses called sure, by the reconstruction's own evidence."),
        "poses_sure_wrong": _count("Poses called sure and wrong by the reference."),
        "rotation_error_deg": _number("Median rotation error of the right poses, degrees."),
        "centre_error": _number("Median error of the right poses' centres, reference units."),
        "centre_error_relative": _number("The same as a share of the references' extent."),
        **{
            f"pose_auc_{limit}": _number(
                f"Area under the recall of relative poses up to {limit} {unit}, 0 to 1; missing "
                "poses count as wrong."
            )
            for limit, unit in ((1, "degree"), (3, "degrees"), (5, "degrees"))
        },
        "depth_error_relative": _number(
            "Median over photos of the median relative error of depth."
        ),
        "seconds": _number("Wall time of the scene."),
        "peak_memory_mib": _number("Largest memory of its process and children."),
        "stages_cached": _count("Stages that were recalled."),
        "stages_computed": _count("Stages that ran."),
    },
    "stages": {
        "stage": _text("Name of the stage; several rows where it made several artefacts."),
        "seconds": _number("Wall time, retries included."),
        "peak_memory_mib": _number(
            "Largest memory while it ran; null where it was recalled in the dispatcher."
        ),
        "cached": _flag("Recalled instead of computed."),
        "attempt": _count("1, and one more for each retry."),
        "state": _text("`completed`, `failed`, `crashed` or `cancelled`."),
        "digest": _text("Digest of its artefact."),
        "uri": _text("Address of its artefact."),
    },
    "views": {
        "stage": _text("`splat`, `ensemble`, `control`, `refine` or `distil`."),
        "view": _VIEW,
        "split": _text("`train`, `validation`, `held_out`, or `not_fitted`."),
        "psnr_db": _number("Peak signal-to-noise ratio against the photo, dB."),
        "ssim": _number("Structural similarity to the photo."),
        **_PERCEPTUAL,
    },
    "gains": {
        "view": _VIEW,
        "before": _text("Stage, as in `views`."),
        "after": _text("Stage that is compared with it."),
        "psnr_db": _number("PSNR after minus before, dB."),
        "ssim": _number("SSIM after minus before."),
        **{name: _number("The same of that column of `views`.") for name in _PERCEPTUAL},
    },
    "confidence": {
        "view": _VIEW,
        "spearman": _number("Rank correlation of confidence and negative error over the pixels."),
        "ause_over_random": _number(
            "Area under the sparsification error curve, as a share of that of a random order."
        ),
    },
    "training": {
        "stage": _text("Stage that optimised."),
        "iteration": _count("Steps taken."),
        "loss": _number("Training loss, a mean over the steps since the row before."),
        "gaussians": _count("Gaussians at that step."),
        "held_out_psnr_db": _number("PSNR of photos kept out of fitting; null between scorings."),
        "held_out_gain_db": _number("Gain of a refiner over the renders, on validation scenes."),
    },
    "attempts": {
        "features": _text("Features that photos were matched by: `sift`, `aliked` or `both`."),
        "mapper": _text(
            "COLMAP's mapper of its best model: `incremental`, `hierarchical` or `global`."
        ),
        "focal_factor": _number(
            "Times the first guess, where focal lengths are guesses: what that model started from."
        ),
        "registered": _count("Photos of its best model."),
        "sure": _count("Photos of it whose poses the evidence confirms."),
        "chosen": _flag("Whether the scene's poses come from it."),
    },
    "poses": {
        "view": _VIEW,
        "verdict": _text(
            "`right`, `wrong`, or `missing` without a pose; null without a reference, or where "
            "references leave it open."
        ),
        "rotation_error_deg": _number(_ROTATION),
        "centre_error": _number(_CENTRE),
        "centre_error_relative": _number("The same as a share of the references' extent."),
        "pose_confidence": _number(
            "Confidence of the reconstruction in the pose, 0 to 1; null where not assessed."
        ),
        "sure": _flag("The reconstruction calls the pose sure; null where not assessed."),
        "left_out": _text("Why the reconstruction gives the photo no pose, where it says so."),
    },
    "geometry": {
        "view": _VIEW,
        "split": _text("As in `views`."),
        "depth_error_relative": _number("Median of |rendered - reference| / reference depth."),
        "depth_share_within_5_percent": _number(
            "Share of the pixels whose relative error is at most 5 %."
        ),
        "pixels": _count("Pixels with a reference depth that are compared."),
        "coverage": _number("Share of pixels with a reference depth that the splat covers."),
    },
}
COMMON: Mapping[str, Column] = {
    "run": _text("Name of the run."),
    "scene": _text("Name of the scene."),
    "written_at": Column(
        type=pa.timestamp("us", tz="UTC"), description="Time at which the row was written."
    ),
}
COLUMNS: Mapping[str, Mapping[str, pa.DataType]] = {
    table: {name: column.type for name, column in columns.items()}
    for table, columns in TABLES.items()
}
"""The types alone."""
