"""The page of a run in Prefect's UI: the table of its scenes."""

from pathlib import Path
from typing import Any

import pandas as pd

from flows.report.scene_page import Page, artifact_key
from flows.report.table import (
    EXPLANATION,
    counts_of,
    escaped,
    markdown_table,
    remarks_of,
    scene_rows,
    shown_columns,
)
from flows.runs.record import RunRecord, name_of
from storage.store import Store

PARTS = {
    "Scenes": ("photos", "split", "psnr_db", "ssim", "seconds"),
    "Refined and distilled views": (
        *("ensemble_gain_db", "refined_gain_db", "refined_share_worse"),
        *("control_gain_db", "distilled_gain_db", "selected"),
    ),
    "Perceptual figures": (
        *("st_lpips", "refined_st_lpips", "distilled_st_lpips", "lpips"),
        *("edge_energy", "refined_edge_energy", "distilled_edge_energy"),
    ),
    "Cameras and geometry": (
        *("protocol", "registered_share", "reprojection_error_px"),
        *("poses", "sure"),
        *("rotation_error_deg", "centre_error_relative", "depth_error_relative"),
    ),
    "Confidence and cost": (
        *("confidence_spearman", "confidence_ause"),
        *("gaussians", "peak_memory_mib", "cached"),
    ),
}
"""The report's columns as several tables: a wider one would run under the panel beside it."""
MAX_REMARKS = 50


def run_page(store: Store, record: RunRecord) -> Page:
    """The report of a run with links to the pages of its scenes.

    Its history in the UI lists earlier runs of the dataset.
    """
    rows = scene_rows(store, record.run)
    lines = [f"# {escaped(record.run)}", "", f"**{counts_of(rows)}**"]
    remarks = [f"- {escaped(remark)}" for remark in remarks_of(rows)]
    if (more := len(remarks) - MAX_REMARKS) > 0:
        remarks[MAX_REMARKS:] = [f"- and {more} more, see 'unseen report'"]
    lines += ["", *remarks]
    shown = shown_columns(rows)
    for title, fields in PARTS.items():
        columns = [column for column in shown if column.field in fields]
        if columns or title == "Scenes":
            lines += ["", f"## {title}", "", *markdown_table(rows, columns, name=_link)]
    lines += ["", EXPLANATION]
    return Page(
        key=artifact_key("dataset", name_of(Path(record.dataset))),
        markdown="\n".join(lines) + "\n",
        description=f"{record.run}: {counts_of(rows)}",
    )


def _link(row: Any) -> str:
    """Link to the pages of a scene, if its process wrote one: then its seconds are known."""
    scene = str(row["scene"])
    if pd.isna(row["seconds"]):
        return escaped(scene)
    name = escaped(scene).replace("[", "\\[").replace("]", "\\]")
    return f"[{name}](../key/{artifact_key('scene', scene)})"
