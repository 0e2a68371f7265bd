"""Errors of the store, and the base of every error raised on purpose."""

import contextlib
from collections.abc import Iterator


class UnseenError(Exception):
    """Base of every error raised on purpose; one finished sentence, so it pickles."""


class IntegrityError(UnseenError):
    """Stored bytes are not what their handle promises: rebuild them."""


class UndefinedNumbersError(UnseenError):
    """A stage computed NaN or infinity where its artefact has numbers: change its input."""


class SchemaError(UnseenError):
    """The store is of another version: name another store."""


class StoreError(UnseenError):
    """The store cannot be used as it is: change its address, its permissions or its disk."""


@contextlib.contextmanager
def as_store_error(failure: str, kinds: type[Exception] = OSError) -> Iterator[None]:
    """Turn what the store answers into a StoreError.

    Args:
        failure: what did not succeed, and where.
        kinds: what counts; Exception for remote stores, because each raises its own kinds.
    """
    try:
        yield
    except UnseenError:
        raise
    except kinds as error:
        raise StoreError(
            f"{failure} ({type(error).__name__}: {error}), so no result could be kept; see that "
            "the store can be reached and written and has free space, then run the scene again"
        ) from error
