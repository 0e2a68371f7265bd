"""Errors raised on purpose in Prefect's logs: one sentence in the UI, nothing in the terminal."""

import logging

from storage.errors import UnseenError

SIGNALLED = (
    "Crash detected! Execution was aborted by",
    "Crash detected! Execution was cancelled by the runtime environment",
)
"""Prefect's words for a flow run that Ctrl-C or SIGTERM ended."""


def hide_described_errors() -> None:
    """Drop errors raised on purpose from Prefect's log in the terminal, where the command prints
    them; Prefect's UI keeps them.

    Call after Prefect was imported, which sets its handlers.
    """
    for name in ("prefect", None):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.addFilter(_is_unexpected)


def log_errors_in_a_sentence() -> None:
    """Log errors raised on purpose once, as their sentence without a traceback.

    Call in a flow run.
    """
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_shorten)


def _shorten(record: logging.LogRecord) -> bool:
    if not (record.exc_info and isinstance(record.exc_info[1], UnseenError)):
        return True
    record.described = record.exc_info[1]
    record.exc_info = None
    return not record.getMessage().startswith("Engine execution")  # repeats the error


def _is_unexpected(record: logging.LogRecord) -> bool:
    if record.exc_info:
        return not isinstance(record.exc_info[1], UnseenError)
    if hasattr(record, "described"):
        return False
    # The last line of a failed run repeats the error, and a signal is no crash.
    said = record.getMessage()
    return not said.startswith(("Finished in state Failed", *SIGNALLED))
