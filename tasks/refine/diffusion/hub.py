"""Third-party models, from a folder or from the hub, and their licences.

The hub is reached here alone, always at a commit; diffusers is given folders only, since a hub id
might be the path of a folder where a command runs, too.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import InputError
from tasks.refine.third_party import ThirdParty

NO_LICENCE = "no licence named"

CARD = "README.md"
MODEL = (CARD, "*.json", "*.safetensors", "*.txt", "*.model")
"""Files of a model that are fetched: no pickles, and no code."""
UNUSED = ("*.fp16.*", "*.non_ema.*", "safety_checker/*")
"""Variants and parts that are not loaded."""
CODE = ("*.py",)


@contextmanager
def reaching(model: ThirdParty) -> Iterator[None]:
    """Turn failures inside the block into an InputError that names the model.

    Raises:
        InputError: it cannot be read.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # the hub's own errors are OSErrors
        reason = " ".join(str(error).split())[:200]
        what, advice = "is no folder that can be read", "name another folder"
        if model.folder is None:
            what = "was not got from the hub"
            advice = (
                f"where there is network, run 'hf download {model.name} --revision "
                f"{model.revision} --local-dir FOLDER', and name FOLDER in its place"
            )
        raise InputError(
            f"the model '{model.address}' {what} ({type(error).__name__}: {reason}); {advice}"
        ) from error


def fetched(model: ThirdParty, patterns: Sequence[str] = MODEL) -> Path:
    """The folder of a model; that of the hub's cache, filled at its commit where need be.

    Args:
        patterns: of the files that are fetched, beside code where it is run.

    Raises:
        OSError: it is not there, and cannot be got.
    """
    if model.folder is not None:
        if not model.folder.is_dir():
            raise NotADirectoryError(f"{model.folder} is no folder")
        return model.folder
    from huggingface_hub import snapshot_download

    wanted = [*patterns, *(CODE if model.code else ())]
    return Path(
        snapshot_download(
            model.name,
            revision=model.revision,
            allow_patterns=wanted,
            ignore_patterns=list(UNUSED),
        )
    )


def licence_of(model: ThirdParty) -> str:
    """The licence in the model card, or :data:`NO_LICENCE`."""
    from huggingface_hub import ModelCard
    from huggingface_hub.errors import HfHubHTTPError

    try:
        card = fetched(model, (CARD,)) / CARD
        if not card.is_file():
            return NO_LICENCE
        data = ModelCard.load(str(card)).data
    except (OSError, ValueError, HfHubHTTPError):  # no card, or no way to it
        return NO_LICENCE
    named = getattr(data, "license_name", None) or data.license
    link = getattr(data, "license_link", None)
    if not named:
        return NO_LICENCE
    return f"{named}, {link}" if link else str(named)
