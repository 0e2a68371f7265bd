"""Keeping Prefect's log of errors that explain themselves out of the terminal."""

import logging

from storage.errors import UnseenError


def leave_told_errors_to_us() -> None:
    """Keep errors raised on purpose from Prefect's log in the terminal, which shows their sentence.

    Prefect's UI keeps them. Call after Prefect was imported, which sets its handlers.
    """
    for name in ("prefect", None):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.addFilter(_is_not_told)


def _is_not_told(record: logging.LogRecord) -> bool:
    if record.exc_info:
        return not isinstance(record.exc_info[1], UnseenError)
    # What a failed run closes with: the error once more, in one line.
    return not record.getMessage().startswith("Finished in state Failed")
