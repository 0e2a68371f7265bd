"""Pages in Prefect's UI."""

from collections.abc import Callable

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from flows.report.scene_page import Page


def show_page(make: Callable[[], Page]) -> None:
    """Publish a page in Prefect's UI, as an artifact of the running flow run.

    A page that cannot be made is logged and does not fail the scene.
    """
    try:
        create_markdown_artifact(**make())
    except Exception as error:
        get_run_logger().warning("a page could not be published in the UI: %s", error)
