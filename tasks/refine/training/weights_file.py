"""Files of refiners' weights: safetensors with a description in the metadata."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tasks.errors import InputError
from tasks.refine.training.metadata import ENTRY, description_in


def weights_file(weights: dict[str, Tensor], description: dict[str, Any]) -> bytes:
    """Content of a file with weights; the description holds ``format`` and ``version``."""
    # One entry: several would be written in an order that changes from run to run.
    return save(weights, metadata={ENTRY: json.dumps(description)})


def read_weights_file(
    path: Path, *, form: str, version: int, digest: str | None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description and weights.

    Args:
        form: required ``format``.
        digest: required sha256; None for any.

    Raises:
        InputError: it cannot be read, is not the one of that digest, no safetensors file, or of
            another format or version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the weights '{path}' cannot be read ({error.strerror or error}); check the path"
        ) from error
    found = sha256(content).hexdigest()
    if digest is not None and found != digest:
        raise InputError(
            f"the weights '{path}' changed while the scene ran (sha256 {digest[:12]} before, "
            f"{found[:12]} now), so its result would be kept under a false name; run the scene "
            "again"
        )
    try:
        weights = load(content)
        described = description_in(content)
    except (SafetensorError, ValueError) as error:
        raise InputError(
            f"'{path}' of {len(content)} bytes is not a whole safetensors file ({error}) and "
            "cannot be read; fetch it again, or name another file"
        ) from error
    if described.get("format") != form or described.get("version") != version:
        raise InputError(
            f"'{path}' holds weights of format '{described.get('format')}' version "
            f"{described.get('version')}, not of '{form}' version {version}; train them with "
            "this version, or name another file"
        )
    return described, weights
