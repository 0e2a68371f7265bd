"""Output of ``unseen report`` and ``unseen status``."""

import os

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.report.table import COMPLETED, remarks_of, scene_rows, terminal_report
from flows.runs.record import load_run
from storage.metrics import read_table
from storage.store import Store

WIDTH_OF_FILES = 260
"""Columns where the output is no terminal and ``COLUMNS`` is unset."""


def print_report(store: Store, run: str) -> None:
    """Print the table of a run, then the errors of its scenes and the photos that were rejected."""
    console = _console()
    console.print(terminal_report(store, run, console))
    for remark in remarks_of(scene_rows(store, run)):
        whole_lines = not console.is_terminal
        console.print(f"- {remark}", markup=False, highlight=False, soft_wrap=whole_lines)


def print_status(store: Store, run: str | None) -> None:
    """Print each scene of a run: its state, and its current or last finished stage.

    Ended scenes are read from the tables of the store, ongoing ones from Prefect, where it answers.
    """
    record = load_run(store, run)
    rows = scene_rows(store, record.run).set_index("scene")
    columns = ("scene", "stage", "state")
    stages = read_table(store, "stages", run=record.run, columns=columns)
    ongoing = {}
    if (rows["state"] != COMPLETED).any():
        from flows.runs.progress import ongoing_scenes  # late: Prefect takes a second to import

        ongoing = {one.scene: one for one in ongoing_scenes(record.run)}
    title = f"{record.run} ({record.folder or record.dataset})"
    table = Table(title=escape(title), title_justify="left")
    for heading in ("scene", "state", "stage", "message"):
        table.add_column(heading, overflow="fold")
    for name, row in rows.iterrows():
        finished = stages[(stages["scene"] == name) & (stages["state"] == COMPLETED)]["stage"]
        stage = f"{finished.iloc[-1]} finished" if len(finished) else "-"
        message = "" if pd.isna(row["error_message"]) else row["error_message"]
        if now := ongoing.get(str(name)):
            if now.stage:
                stage = f"{now.stage} {now.share:.0%}"
            cells = [now.state, stage, now.doing]
        else:
            cells = [row["state"], stage, message]
        table.add_row(*(escape(cell) for cell in (str(name), *cells)))
    _console().print(table)


def _console() -> Console:
    fixed = Console().is_terminal or "COLUMNS" in os.environ
    return Console(width=None if fixed else WIDTH_OF_FILES)
