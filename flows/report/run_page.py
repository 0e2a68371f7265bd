"""The page of a run in Prefect's UI: the table of its scenes."""

from pathlib import Path

from flows.report.scene_page import Page, artifact_key
from flows.report.table import markdown_report
from flows.runs import RunRecord, name_of
from storage.arrays import Store


def run_page(store: Store, record: RunRecord) -> Page:
    """The table, whose history has the dataset's earlier runs."""
    return Page(
        key=artifact_key("dataset", name_of(Path(record.dataset))),
        markdown=markdown_report(store, record.run),
        description=record.run,
    )
