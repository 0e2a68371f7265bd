"""The table of a run: how good each scene became, what it cost, and why the others failed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from flows.runs.record import check_has_scenes, load_run
from storage.metrics import read_table
from storage.store import Store
from storage.tables import TABLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the report; a missing figure is shown as a dash."""

    title: str
    field: str
    show: Callable[[Any], str]
    rank: int
    """Priority in a narrow terminal, 1 first."""


def _distance(value: float) -> str:
    return f"{value:.3f}"


def _share(value: float) -> str:
    return f"{value:.0%}"


COLUMNS = (
    Column(title="photos", field="photos", show=lambda v: f"{v:.0f}", rank=1),
    Column(title="registered", field="registered_share", show=lambda v: f"{v:.0%}", rank=13),
    Column(title="reproj. px", field="reprojection_error_px", show=lambda v: f"{v:.2f}", rank=19),
    Column(title="train / held out", field="split", show=str, rank=10),
    Column(title="PSNR dB", field="psnr_db", show=lambda v: f"{v:.2f}", rank=2),
    Column(title="SSIM", field="ssim", show=lambda v: f"{v:.3f}", rank=3),
    Column(title="ST-LPIPS", field="st_lpips", show=_distance, rank=3),
    Column(title="LPIPS", field="lpips", show=_distance, rank=22),
    Column(title="edges", field="edge_energy", show=_share, rank=23),
    Column(title="ensemble +dB", field="ensemble_gain_db", show=lambda v: f"{v:+.2f}", rank=20),
    Column(title="refined +dB", field="refined_gain_db", show=lambda v: f"{v:+.2f}", rank=5),
    Column(title="worse", field="refined_share_worse", show=lambda v: f"{v:.0%}", rank=12),
    Column(title="control +dB", field="control_gain_db", show=lambda v: f"{v:+.2f}", rank=11),
    Column(title="distilled +dB", field="distilled_gain_db", show=lambda v: f"{v:+.2f}", rank=6),
    Column(title="refined ST-LPIPS", field="refined_st_lpips", show=_distance, rank=24),
    Column(title="distilled ST-LPIPS", field="distilled_st_lpips", show=_distance, rank=25),
    Column(title="refined edges", field="refined_edge_energy", show=_share, rank=26),
    Column(title="distilled edges", field="distilled_edge_energy", show=_share, rank=27),
    Column(title="selected", field="selected", show=str, rank=16),
    Column(title="trust", field="confidence_spearman", show=lambda v: f"{v:.2f}", rank=17),
    Column(title="AUSE", field="confidence_ause", show=lambda v: f"{v:.2f}", rank=18),
    Column(title="right / wrong / missing", field="poses", show=str, rank=7),
    Column(title="sure", field="sure", show=str, rank=13),
    Column(title="rot. err. °", field="rotation_error_deg", show=lambda v: f"{v:.2f}", rank=9),
    Column(title="centre err.", field="centre_error_relative", show=lambda v: f"{v:.2%}", rank=8),
    Column(title="depth err.", field="depth_error_relative", show=lambda v: f"{v:.1%}", rank=7),
    Column(title="Gaussians", field="gaussians", show=lambda v: f"{v:,.0f}", rank=14),
    Column(title="seconds", field="seconds", show=lambda v: f"{v:.1f}", rank=4),
    Column(title="peak MiB", field="peak_memory_mib", show=lambda v: f"{v:,.0f}", rank=15),
    Column(title="cached", field="cached", show=str, rank=21),
)
COMPLETED, NO_RESULT = "completed", "no result yet"
EXPLANATION = (
    "PSNR, SSIM, ST-LPIPS (perceptual distance, less is better) and edges (energy of gradients, "
    "as a share of the photo's): the splat, mean over held-out photos. Ensemble: mean render of "
    "the splat and its ensemble, gain over the splat. Refined: refined views, gain over the "
    "splat, and share of them made worse. Control: the splat fitted further to its photos, gain "
    "over the splat. Distilled: fitted further to photos and refined views, gain over the "
    "control. Trust: rank correlation of confidence and error. AUSE: 0 if confidence orders "
    "pixels as their errors do, 1 if at random. Against reference data, where given: photos with "
    "a right pose (5 degrees, 5 % of the extent), a wrong one, or none; median errors of the right "
    "ones, of rotation and of the centre as a share of the extent; median relative error of depth. "
    "Sure: poses that the reconstruction itself calls sure, and those of them that are wrong."
)


def scene_rows(store: Store, run: str) -> pd.DataFrame:
    """The rows of ``scenes``, one per scene of the run, with the derived columns of the report.

    Raises:
        InputError: there is no such run, or it has no scenes.
    """
    record = load_run(store, run)
    check_has_scenes(record)
    rows = read_table(store, "scenes", run=run).set_index("scene")
    rows = rows.reindex(sorted(record.scenes)).rename_axis("scene").reset_index()
    rows["state"] = rows["state"].fillna(NO_RESULT)
    return _derived(rows)


def figures_of(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Title and figure of each column of the report that a scene's row has."""
    rows = _derived(pd.DataFrame([row]).reindex(columns=list(TABLES["scenes"])))
    (_, figures), *_ = rows.iterrows()
    return [(column.title, _cell(figures, column)) for column in shown_columns(rows)]


def _derived(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with gains, split and cached stages, derived from their other columns."""
    training, held_out = rows["training_photos"], rows["held_out_photos"]
    rows["split"] = [
        None if pd.isna(a) else f"{a:.0f} / {b:.0f}"
        for a, b in zip(training, held_out, strict=True)
    ]
    right, wrong, missing = rows["poses_right"], rows["poses_wrong"], rows["poses_missing"]
    rows["poses"] = [
        None if pd.isna(a) else f"{a:.0f} / {b:.0f} / {c:.0f}"
        for a, b, c in zip(right, wrong, missing, strict=True)
    ]
    rows["sure"] = [
        None if pd.isna(a) else f"{a:.0f}" if pd.isna(b) else f"{a:.0f} ({b:.0f} wrong)"
        for a, b in zip(rows["poses_sure"], rows["poses_sure_wrong"], strict=True)
    ]
    rows["ensemble_gain_db"] = rows["ensemble_psnr_db"] - rows["psnr_db"]
    rows["refined_gain_db"] = rows["refined_psnr_db"] - rows["psnr_db"]
    rows["control_gain_db"] = rows["control_psnr_db"] - rows["psnr_db"]
    rows["distilled_gain_db"] = rows["distilled_psnr_db"] - rows["control_psnr_db"]
    stages = rows["stages_cached"] + rows["stages_computed"]
    rows["cached"] = [
        None if pd.isna(total) else f"{cached:.0f} of {total:.0f}"
        for cached, total in zip(rows["stages_cached"], stages, strict=True)
    ]
    return rows


def terminal_report(store: Store, run: str, console: Console) -> Table:
    """The table for a terminal, with the columns of the highest rank that fit its width."""
    rows = scene_rows(store, run)
    columns = shown_columns(rows)
    unbounded = console.options.update(max_width=10_000)
    count = len(columns)
    while True:
        kept = sorted(columns, key=lambda column: column.rank)[:count]
        table = _table(run, rows, [column for column in columns if column in kept])
        table.columns[0].max_width = max(console.width // 3, 12)
        if count <= 1 or Measurement.get(console, unbounded, table).maximum <= console.width:
            break
        count -= 1
    if count < len(columns):
        wider = f"{len(columns) - count} more columns in a wider terminal, or with --markdown FILE."
        table.caption = f"{wider} {EXPLANATION}"
    return table


def _table(run: str, rows: pd.DataFrame, columns: Sequence[Column]) -> Table:
    table = Table(
        title=f"{escape(run)}: {counts_of(rows)}",
        caption=EXPLANATION,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("scene", overflow="fold")
    for column in columns:
        table.add_column(column.title, justify="right")
    for _, row in rows.iterrows():
        name = escape(str(row["scene"]))
        if row["state"] != COMPLETED:
            name = f"[red]{name} ({row['state']})[/red]"
        table.add_row(name, *(_cell(row, column) for column in columns))
    return table


def markdown_report(store: Store, run: str) -> str:
    """The table as markdown, all columns."""
    rows = scene_rows(store, run)
    lines = [f"# {escaped(run)}", "", f"{counts_of(rows)}. {EXPLANATION}", ""]
    lines += markdown_table(rows, shown_columns(rows))
    if remarks := remarks_of(rows):
        lines += ["", *(f"- {escaped(remark)}" for remark in remarks)]
    return "\n".join(lines) + "\n"


def markdown_table(
    rows: pd.DataFrame, columns: Sequence[Column], *, name: Callable[[Any], str] | None = None
) -> list[str]:
    """The lines of a table with each scene's name, state and columns.

    Args:
        name: gives the scene's cell of a row, as markdown; default: its escaped name.
    """
    lines = ["| scene | state | " + " | ".join(column.title for column in columns) + " |"]
    lines.append("|---|---|" + "---:|" * len(columns))
    for _, row in rows.iterrows():
        scene = name(row) if name else escaped(row["scene"])
        cells = [scene, row["state"], *(_cell(row, column) for column in columns)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def remarks_of(rows: pd.DataFrame) -> list[str]:
    """Sentences for the reader: why scenes failed, what was used of their input, which photos were
    rejected, which poses are wrong, where no refined view was used."""
    remarks = []
    for _, row in rows.iterrows():
        if not pd.isna(row["error_message"]):
            remarks.append(f"{row['scene']} {row['state']}: {row['error_message']}")
            continue
        if not pd.isna(row["inputs"]):
            remarks.append(f"{row['scene']} used {row['inputs']}")
        if not pd.isna(row["rejected"]):
            remarks.append(f"{row['scene']} went on without {row['rejected']}")
        if not pd.isna(row["poses_remark"]):
            remarks.append(f"{row['scene']}: {row['poses_remark']}")
        if row["refined_views"] > 0 and row["refined_views_rejected"] == row["refined_views"]:
            remarks.append(
                f"{row['scene']}: all {row['refined_views']:.0f} refined views were rejected, "
                "being no nearer to the photos than the renders; nothing of them was distilled"
            )
    return remarks


def shown_columns(rows: pd.DataFrame) -> list[Column]:
    """Columns in which any scene has a figure."""
    return [column for column in COLUMNS if rows[column.field].notna().any()]


def _cell(row: Any, column: Column) -> str:
    value = row[column.field]
    return "-" if pd.isna(value) else column.show(value)


def counts_of(rows: pd.DataFrame) -> str:
    """How many scenes completed, in words."""
    completed = int((rows["state"] == COMPLETED).sum())
    return f"{completed} of {len(rows)} scenes completed"


def escaped(text: object) -> str:
    """Text escaped for a markdown table cell."""
    return " ".join(str(text).replace("|", "\\|").replace("<", "&lt;").split("\n"))
