"""The page of a run in Prefect's UI: the table of its scenes."""

from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from flows.report.scene_page import artifact_key
from flows.report.table import markdown_report
from flows.runs import RunRecord, name_of
from storage.arrays import Store


def show_run(store: Store, record: RunRecord) -> None:
    """Show the table as the dataset's artifact, whose history has the earlier runs."""
    key = artifact_key("dataset", name_of(Path(record.dataset)))
    page = markdown_report(store, record.run)
    create_markdown_artifact(page, key=key, description=record.run)
