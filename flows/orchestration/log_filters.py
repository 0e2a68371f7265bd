"""Errors that explain themselves, in Prefect's log: their sentence, and in our terminal nothing."""

import logging

from storage.errors import UnseenError


def hide_described_errors() -> None:
    """Keep errors raised on purpose from Prefect's log in the terminal, which shows their sentence.

    Prefect's UI keeps them. Call after Prefect was imported, which sets its handlers.
    """
    for name in ("prefect", None):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.addFilter(_is_not_told)


def log_errors_in_a_sentence() -> None:
    """Have errors raised on purpose stand in the UI's log once, and without their traceback.

    Call in a flow run.
    """
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_shorten)


def _shorten(record: logging.LogRecord) -> bool:
    if not (record.exc_info and isinstance(record.exc_info[1], UnseenError)):
        return True
    record.told = record.exc_info[1]
    record.exc_info = None
    return not record.getMessage().startswith("Engine execution")  # the same error once more


def _is_not_told(record: logging.LogRecord) -> bool:
    if record.exc_info:
        return not isinstance(record.exc_info[1], UnseenError)
    if hasattr(record, "told"):
        return False
    # What a failed run closes with: the error once more, in one line.
    return not record.getMessage().startswith("Finished in state Failed")
