"""The table of a run: how good each scene became, what it cost, and why the others failed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from storage.arrays import Store
from storage.metrics import read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the report; a missing figure is shown as a dash."""

    title: str
    field: str
    show: Callable[[Any], str]


COLUMNS = (
    Column(title="photos", field="photos", show=lambda v: f"{v:.0f}"),
    Column(title="registered", field="registered_share", show=lambda v: f"{v:.0%}"),
    Column(title="reproj. px", field="reprojection_error_px", show=lambda v: f"{v:.2f}"),
    Column(title="train / held out", field="split", show=str),
    Column(title="PSNR dB", field="psnr_db", show=lambda v: f"{v:.2f}"),
    Column(title="SSIM", field="ssim", show=lambda v: f"{v:.3f}"),
    Column(title="rot. err. °", field="rotation_error_deg", show=lambda v: f"{v:.2f}"),
    Column(title="centre err.", field="centre_error_relative", show=lambda v: f"{v:.2%}"),
    Column(title="depth err.", field="depth_error_relative", show=lambda v: f"{v:.1%}"),
    Column(title="Gaussians", field="gaussians", show=lambda v: f"{v:,.0f}"),
    Column(title="seconds", field="seconds", show=lambda v: f"{v:.1f}"),
    Column(title="peak MiB", field="peak_memory_mib", show=lambda v: f"{v:,.0f}"),
    Column(title="cached", field="cached", show=str),
)
EXPLANATION = (
    "PSNR and SSIM: means over held-out photos. Against reference cameras, where a scene has "
    "them: median rotation error, RMS error of centres as a share of the extent; against depth "
    "maps: median relative error."
)


def scene_rows(store: Store, run: str) -> pd.DataFrame:
    """The rows of ``scenes`` with what the report derives from them, by name."""
    rows = read_table(store, "scenes", run=run).sort_values("scene", ignore_index=True)
    training, held_out = rows["training_photos"], rows["held_out_photos"]
    rows["split"] = [
        None if pd.isna(a) else f"{a:.0f} / {b:.0f}"
        for a, b in zip(training, held_out, strict=True)
    ]
    stages = rows["stages_cached"] + rows["stages_computed"]
    rows["cached"] = [
        None if pd.isna(total) else f"{cached:.0f} of {total:.0f}"
        for cached, total in zip(rows["stages_cached"], stages, strict=True)
    ]
    return rows


def terminal_report(store: Store, run: str) -> Table:
    """For a terminal: completed scenes with figures, the others with their reason."""
    rows = scene_rows(store, run)
    table = Table(title=f"{run}: {_counts(rows)}", caption=EXPLANATION, title_justify="left")
    table.add_column("scene", no_wrap=True)
    shown = _shown_columns(rows)
    for column in shown:
        table.add_column(column.title, justify="right")
    for _, row in rows.iterrows():
        name = escape(str(row["scene"]))
        if row["state"] != "completed":
            name = f"[red]{name} ({row['state']})[/red]"
        table.add_row(name, *(_cell(row, column) for column in shown))
    return table


def markdown_report(store: Store, run: str) -> str:
    """The same for people and pages that read markdown."""
    rows = scene_rows(store, run)
    shown = _shown_columns(rows)
    lines = [f"# {run}", "", f"{_counts(rows)}. {EXPLANATION}", ""]
    lines.append("| scene | state | " + " | ".join(column.title for column in shown) + " |")
    lines.append("|---|---|" + "---:|" * len(shown))
    for _, row in rows.iterrows():
        cells = [_escaped(row["scene"]), row["state"], *(_cell(row, column) for column in shown)]
        lines.append(f"| {' | '.join(cells)} |")
    if remarks := remarks_of(rows):
        lines += ["", *(f"- {_escaped(remark)}" for remark in remarks)]
    return "\n".join(lines) + "\n"


def remarks_of(rows: pd.DataFrame) -> list[str]:
    """What a person should read: why scenes failed, and which photos were passed over."""
    remarks = []
    for _, row in rows.iterrows():
        if row["state"] != "completed":
            remarks.append(f"{row['scene']} {row['state']}: {row['error_message']}")
        elif not pd.isna(row["rejected"]):
            remarks.append(f"{row['scene']} went on without {row['rejected']}")
    return remarks


def _shown_columns(rows: pd.DataFrame) -> list[Column]:
    """Columns in which any scene has a figure."""
    return [column for column in COLUMNS if rows[column.field].notna().any()]


def _cell(row: Any, column: Column) -> str:
    value = row[column.field]
    return "-" if pd.isna(value) else column.show(value)


def _counts(rows: pd.DataFrame) -> str:
    completed = int((rows["state"] == "completed").sum())
    return f"{completed} of {len(rows)} scenes completed"


def _escaped(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
