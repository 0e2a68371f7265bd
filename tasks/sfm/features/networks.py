"""Networks from files of weights, and what they make of photos and pairs in memory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.nn import functional

from tasks.errors import InputError
from tasks.runtime.context import Device
from tasks.sfm.features.aliked import Aliked, aliked_network, descriptors, score_and_features
from tasks.sfm.features.config import LEAST_SCORE, Precision
from tasks.sfm.features.exchange import Extraction, Matching, PairMatches, PhotoFeatures
from tasks.sfm.features.keypoints import SIDE, detect
from tasks.sfm.features.lightglue import LightGlue, lightglue_network, match, positions

PIXEL_CENTRE = 0.5
"""The networks count pixels from the centre of the upper left one, COLMAP from its corner."""

N = TypeVar("N")


def load_aliked(extraction: Extraction, device: Device) -> Aliked:
    """
    Raises:
        InputError: the file does not hold the network.
    """
    return _loaded("ALIKED", extraction.weights, lambda tensors: aliked_network(tensors, device))


def load_lightglue(matching: Matching, device: Device) -> LightGlue:
    """
    Raises:
        InputError: the file does not hold the network.
    """
    dtype = getattr(torch, resolved(matching.precision, device))
    return _loaded(
        "LightGlue", matching.weights, lambda tensors: lightglue_network(tensors, device, dtype)
    )


def resolved(precision: Precision, device: Device) -> Precision:
    """``auto`` as it is on this machine.

    A pair of 1024 keypoints took 0.26 to 0.40 s of a core with AVX-512 BF16 in bfloat16, about a
    third less than in float32; on one with AVX2 alone 2.4 s in place of 0.45 s.
    """
    if precision != "auto":
        return precision
    if device == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        names = (
            "_is_avx512_bf16_supported",
            "_is_amx_tile_supported",
        )  # of torch, not of a contract
        has = any(getattr(torch.cpu, name, lambda: False)() for name in names)
    return "bfloat16" if has else "float32"


@torch.inference_mode()
def extract(
    network: Aliked,
    pixels: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"] | None,
    extraction: Extraction,
    device: Device = "cpu",
) -> PhotoFeatures:
    """Features of a photo, in its own pixels.

    Args:
        pixels: RGB.
        mask: true where keypoints may lie.
    """
    height, width = pixels.shape[:2]
    scale = extraction.long_side / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    if min(rows, columns) <= SIDE:
        return _none(width, height, network)
    image = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 255
    if (rows, columns) != (height, width):
        image = functional.interpolate(image, (rows, columns), mode="bilinear", antialias=True)
    use = None
    if mask is not None:
        shown = torch.from_numpy(mask).to(device)[None, None].float()
        use = functional.interpolate(shown, (rows, columns), mode="nearest-exact")[0, 0] > 0
    score, features = score_and_features(network, image)
    xy, strength = detect(
        score, threshold=extraction.detection_threshold, most=extraction.max_keypoints, use=use
    )
    found = descriptors(network.describe, features, xy)
    grown = xy.new_tensor([columns / width, rows / height])
    in_photo = ((xy + PIXEL_CENTRE) / grown).cpu().numpy()
    keep = np.ones(len(in_photo), dtype=bool)
    if mask is not None:  # a keypoint may have moved across the edge of the mask
        x, y = np.minimum(in_photo.astype(int), (width - 1, height - 1)).T
        keep = mask[y, x]
    return PhotoFeatures(
        xy=in_photo[keep],
        descriptors=found.cpu().numpy()[keep].astype(np.float16),
        strength=strength.cpu().numpy()[keep],
        size=(width, height),
    )


@torch.inference_mode()
def match_pair(
    network: LightGlue, one: PhotoFeatures, other: PhotoFeatures, device: Device = "cpu"
) -> PairMatches:
    """Matches with a score of at least ``LEAST_SCORE``.

    Raises:
        InputError: the network is for other features.
    """
    width = (network.project or network.assignment[0]).weight.shape[1]
    place = network.frequencies.shape[1]
    for photo in (one, other):
        found = (photo.descriptors.shape[1], 2 if photo.scale_and_angle is None else 4)
        if found != (width, place):
            raise InputError(
                f"the weights of LightGlue are for descriptors of {width} numbers and positions of "
                f"{place}, the features have {found[0]} and {found[1]}; name weights that were "
                "trained for these features"
            )
    indices, scores = match(
        network,
        (_tensor(one.descriptors, device), _tensor(other.descriptors, device)),
        (_places(one, device), _places(other, device)),
        LEAST_SCORE,
    )
    return PairMatches(indices=indices.cpu().numpy().astype(np.int32), scores=scores.cpu().numpy())


def _places(photo: PhotoFeatures, device: Device) -> Tensor:
    more = None if photo.scale_and_angle is None else _tensor(photo.scale_and_angle, device)
    return positions(_tensor(photo.xy, device) - PIXEL_CENTRE, photo.size, more)


def _tensor(values: np.ndarray, device: Device) -> Tensor:
    return torch.from_numpy(values).to(device).float()


def _none(width: int, height: int, network: Aliked) -> PhotoFeatures:
    """Of a photo that is too narrow."""
    length = network.describe.gather.shape[-1]
    return PhotoFeatures(
        xy=np.zeros((0, 2), dtype=np.float32),
        descriptors=np.zeros((0, length), dtype=np.float16),
        strength=np.zeros(0, dtype=np.float32),
        size=(width, height),
    )


def _loaded(name: str, file: str, build: Callable[[Mapping[str, Tensor]], N]) -> N:
    try:
        return build(_tensors(Path(file)))
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of every kind, as the file has it
        raise InputError(
            f"'{file}' does not hold weights of {name} ({type(error).__name__}: {error}); name "
            "another file, or leave the option out for the installed one"
        ) from error


def _tensors(file: Path) -> Mapping[str, Tensor]:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    tensors: Mapping[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return tensors
