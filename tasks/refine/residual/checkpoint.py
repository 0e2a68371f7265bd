"""The file of a network: safetensors, with its shape and the digest of its training data."""

import math
from pathlib import Path

import torch
from pydantic import ValidationError

from tasks.errors import InputError
from tasks.refine.residual.config import NetworkConfig
from tasks.refine.residual.network import ResidualNetwork
from tasks.refine.training.weights_file import read_weights_file, weights_file

FORMAT = "unseen residual refiner"
VERSION = 1
"""Version of the network's inputs and weights; files of others are rejected."""


def checkpoint_of(network: ResidualNetwork, data: str) -> bytes:
    """The content of a file with a network.

    Args:
        data: digest of what it was trained on.
    """
    weights = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    return weights_file(
        weights,
        {
            "format": FORMAT,
            "version": VERSION,
            "network": network.config.model_dump(mode="json"),
            "data": data,
        },
    )


def read_checkpoint(path: Path, *, digest: str | None = None) -> ResidualNetwork:
    """The network in a file, in evaluation mode on the CPU.

    Args:
        digest: sha256 that the file must have; None for any.

    Raises:
        InputError: the file cannot be read, is not the one of that digest, or holds no such
            network.
    """
    described, weights = read_weights_file(path, form=FORMAT, version=VERSION, digest=digest)
    try:
        config = NetworkConfig.model_validate(described.get("network"))
    except ValidationError as error:
        raise InputError(
            f"the description of the network in '{path}' has {error.error_count()} errors (the "
            f"first: {error.errors()[0]['msg']}), so its weights have no place; name another file"
        ) from error
    with torch.device("meta"):  # whatever it describes, without the memory for it
        described_network = ResidualNetwork(config)
    _check(path, weights, described_network.state_dict())
    network = ResidualNetwork(config)
    network.load_state_dict(weights)
    return network.eval()


def _check(path: Path, weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """
    Raises:
        InputError: tensors are missing, too many, of another shape, or not finite.
    """
    if faults := sorted(weights.keys() ^ expected.keys()):
        raise InputError(
            f"'{path}' holds {len(weights)} tensors where its network has {len(expected)} (the "
            f"first that does not match: '{faults[0]}'); name another file"
        )
    for name, value in expected.items():
        found = weights[name]
        if found.shape != value.shape or found.dtype != value.dtype:
            raise InputError(
                f"'{name}' in '{path}' is {list(found.shape)} of {found.dtype} where its network "
                f"has {list(value.shape)} of {value.dtype}; name another file"
            )
        if not bool(torch.isfinite(found).all()):
            raise InputError(
                f"'{name}' in '{path}' has {int((~torch.isfinite(found)).sum())} of "
                f"{math.prod(found.shape)} values that are not finite, so it cannot refine; name "
                "another file"
            )
