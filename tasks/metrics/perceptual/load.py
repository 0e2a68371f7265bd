"""Networks of perceptual distances from their files."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from tasks.errors import InputError
from tasks.metrics.perceptual.files import Backbone, PerceptualWeights
from tasks.metrics.perceptual.network import CONVOLUTIONS, PerceptualNetwork, distance_to
from tasks.source import Source

Distance = Callable[[Float32[np.ndarray, "h w 3"]], float | None]
"""Of a picture from one photo."""
DistanceTo = Callable[[Float32[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"] | None], Distance]
"""Of pictures from a photo, in its pixels to use."""


def perceptual_distances(
    weights: PerceptualWeights | None, device: str = "cpu"
) -> dict[str, DistanceTo]:
    """The distances whose weights are there, by name: ``st_lpips``, ``lpips``.

    Raises:
        InputError: a file does not hold the network.
    """
    found: dict[str, DistanceTo] = {}
    if weights is None:
        return found
    if weights.st_lpips:
        network = st_lpips_network(weights.backbone, _read(weights.st_lpips), device)
        found["st_lpips"] = partial(distance_to, network)
    if weights.lpips:
        backbone, linear = map(_read, weights.lpips)
        found["lpips"] = partial(
            distance_to, lpips_network(weights.backbone, backbone, linear, device)
        )
    return found


def st_lpips_network(
    backbone: Backbone, tensors: Mapping[str, Tensor], device: str = "cpu"
) -> PerceptualNetwork:
    """The network of ST-LPIPS.

    Args:
        tensors: by the names in the files of ``stlpips-pytorch``.
    """
    return _network(backbone, tensors, tensors, device, shift_tolerant=True)


def lpips_network(
    backbone: Backbone,
    trunk: Mapping[str, Tensor],
    linear: Mapping[str, Tensor],
    device: str = "cpu",
) -> PerceptualNetwork:
    """The network of LPIPS.

    Args:
        trunk: by the names in torchvision's files.
        linear: by the names in the files of ``lpips``.
    """
    return _network(backbone, trunk, linear, device, shift_tolerant=False)


def _network(
    backbone: Backbone,
    trunk: Mapping[str, Tensor],
    linear: Mapping[str, Tensor],
    device: str,
    *,
    shift_tolerant: bool,
) -> PerceptualNetwork:
    pattern = re.compile(r"(net\.slice\d+\.|features\.)(\d+)\.weight")
    names = sorted((m for m in map(pattern.fullmatch, trunk) if m), key=lambda m: int(m[2]))
    blocks = CONVOLUTIONS[backbone]
    if len(names) != sum(blocks) or any(f"lin{i}.model.1.weight" not in linear for i in range(5)):
        raise InputError(
            f"the weights have {len(names)} convolutions where '{backbone}' has {sum(blocks)}, or "
            "lack linear layers, so they are of another network; install the pinned versions again"
        )
    return PerceptualNetwork(
        backbone=backbone,
        shift_tolerant=shift_tolerant,
        convolutions=[
            (trunk[m[0]].to(device), trunk[f"{m[1]}{m[2]}.bias"].to(device)) for m in names
        ],
        linear=[linear[f"lin{i}.model.1.weight"].flatten().to(device) for i in range(len(blocks))],
    )


def _read(source: Source) -> dict[str, Tensor]:
    # Its digest is known, and only tensors are unpickled.
    path = Path(source.folder)
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors
