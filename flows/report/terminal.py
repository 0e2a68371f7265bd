"""What ``unseen report`` and ``unseen status`` print."""

from rich.console import Console
from rich.table import Table

from flows.report.table import remarks_of, scene_rows, terminal_report
from flows.runs import load_run
from storage.arrays import Store
from storage.metrics import read_table


def print_report(store: Store, run: str) -> None:
    """The table of a run, then why scenes failed and which photos were passed over."""
    console = Console(width=None if Console().is_terminal else 200)
    console.print(terminal_report(store, run))
    for remark in remarks_of(scene_rows(store, run)):
        console.print(f"- {remark}", markup=False, highlight=False)


def print_status(store: Store, run: str | None) -> None:
    """Each scene of a run with its state and the last stage it finished."""
    record = load_run(store, run)
    scenes = read_table(store, "scenes", run=record.run).set_index("scene")
    stages = read_table(store, "stages", run=record.run)
    table = Table(title=f"{record.run} ({record.dataset})", title_justify="left")
    for title in ("scene", "state", "last stage finished", "message"):
        table.add_column(title, overflow="fold")
    for name in record.scenes:
        state = scenes["state"].get(name, "no result yet")
        finished = stages[(stages["scene"] == name) & (stages["state"] == "completed")]["stage"]
        message = scenes["error_message"].get(name)
        last = finished.iloc[-1] if len(finished) else "-"
        table.add_row(name, state, last, message if isinstance(message, str) else "")
    Console(width=None if Console().is_terminal else 160).print(table)
