"""Third-party models, from a folder or from the hub, and their licences."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import InputError

NO_LICENCE = "no licence named"


@contextmanager
def reaching(model: str) -> Iterator[None]:
    """Turn failures inside the block into an InputError that names the model.

    Args:
        model: folder or hub id.

    Raises:
        InputError: it cannot be read.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # the hub's own errors are OSErrors
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the model '{model}' is no folder that can be read, and was not got from the hub "
            f"({type(error).__name__}: {reason}); where there is network, run 'hf download {model} "
            "--local-dir FOLDER', and name FOLDER in its place"
        ) from error


def licence_of(model: str) -> str:
    """The licence in the model card, or :data:`NO_LICENCE`.

    Args:
        model: folder or hub id.
    """
    from huggingface_hub import ModelCard
    from huggingface_hub.errors import HfHubHTTPError

    card = Path(model) / "README.md"
    if Path(model).exists() and not card.is_file():
        return NO_LICENCE
    try:
        data = ModelCard.load(str(card) if card.is_file() else model).data
    except (OSError, ValueError, HfHubHTTPError):  # no card, or no way to it
        return NO_LICENCE
    named = getattr(data, "license_name", None) or data.license
    link = getattr(data, "license_link", None)
    if not named:
        return NO_LICENCE
    return f"{named}, {link}" if link else str(named)
