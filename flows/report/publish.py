"""Pages in Prefect's UI."""

from collections.abc import Callable

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from flows.report.scene_page import Page


def show_page(make: Callable[[], Page]) -> None:
    """Make a page and put it into Prefect's UI, as an artifact of the running flow run.

    What goes wrong with telling is not the scene's business; the log says it.
    """
    try:
        create_markdown_artifact(**make())
    except Exception as error:
        get_run_logger().warning("a page of the UI could not be made: %s", error)
