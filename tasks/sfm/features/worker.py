"""Networks in a child process: this and what it imports touch torch and Pillow, never pycolmap."""

import ctypes
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image

from tasks.sfm import child
from tasks.sfm.child import Report
from tasks.sfm.features.cache import features_file, matches_file, pair_key, photo_key
from tasks.sfm.features.exchange import (
    DIGEST_BYTES,
    PairMatches,
    PhotoFeatures,
    Request,
    Result,
    recall_arrays,
)
from tasks.sfm.features.networks import (
    extract,
    load_aliked,
    load_lightglue,
    match_pair,
    resolved,
)

PHOTO_PER_PAIR = 2.0
"""Time of a photo over that of a pair."""


@dataclass(slots=True)
class Count:
    """What is done so far."""

    report: Report
    total: float
    done: float = 0.0
    computed: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, amount: float, message: str) -> None:
        self.done += amount
        self.report(min(self.done / self.total, 1.0), message)


def work(folder: Path, report: Report) -> None:
    """Read the request in ``folder``, write the result there.

    Raises:
        InputError: the weights are not of these networks.
        MachineError: an entry of the cache could not be written.
    """
    request = Request.read(folder)
    torch.set_num_threads(request.threads)
    count = Count(report, PHOTO_PER_PAIR * len(request.photos) + len(request.pairs) or 1.0)
    keys, features = _given(request) if request.given else _extracted(request, count)
    matches = _matched(request, keys, features, count) if request.pairs else []
    Result(
        features=tuple(map(str, features)),
        matches=tuple(map(str, matches)),
        computed=(count.computed[0], count.computed[1]),
    ).write(folder)


def keep_freed_memory() -> None:
    """Have glibc keep what is freed, in place of returning it and asking for zeroed pages again:
    a fifth of the time of a photo."""
    trim_threshold, most_mapped = -1, -4
    with suppress(OSError, AttributeError):  # of another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(most_mapped, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def _given(request: Request) -> tuple[list[str], list[Path]]:
    files = [Path(file) for file in request.given]
    keys = []
    for file in files:
        with file.open("rb") as opened:
            keys.append(opened.read(DIGEST_BYTES).hex())
    return keys, files


def _extracted(request: Request, count: Count) -> tuple[list[str], list[Path]]:
    """Key and file of each photo's features."""
    extraction, cache = request.extraction, Path(request.cache)
    assert extraction is not None, "photos without a way to extract"
    network = None
    settings = _settings(request) | {
        "max_keypoints": extraction.max_keypoints,
        "detection_threshold": extraction.detection_threshold,
        "long_side": extraction.long_side,
        "weights": extraction.weights_digest,
    }
    keys, files = [], []
    for index, (photo, mask) in enumerate(zip(request.photos, request.masks, strict=True)):
        pixels = _pixels(photo)
        used = None if mask is None else _mask(mask)
        keys.append(photo_key(pixels, used, **settings))
        files.append(features_file(cache, keys[-1]))
        if recall_arrays(files[-1]) is None:
            network = network or load_aliked(extraction, request.device)
            found = extract(network, pixels, used, extraction, request.device)
            found.write(files[-1])
            count.computed[0] += 1
        count.add(PHOTO_PER_PAIR, f"features of {index + 1} of {len(request.photos)} photos")
    return keys, files


def _matched(request: Request, keys: list[str], features: list[Path], count: Count) -> list[Path]:
    """File of each pair's matches."""
    matching, cache = request.matching, Path(request.cache)
    assert matching is not None, "pairs without a way to match"
    network = None
    settings = _settings(request) | {
        "precision": resolved(matching.precision, request.device),
        "weights": matching.weights_digest,
    }
    files = []
    for number, (i, j) in enumerate(request.pairs, start=1):
        files.append(matches_file(cache, pair_key(keys[i], keys[j], **settings)))
        if recall_arrays(files[-1]) is None:
            network = network or load_lightglue(matching, request.device)
            one, other = (PhotoFeatures.read(features[index]) for index in (i, j))
            found: PairMatches = match_pair(network, one, other, request.device)
            found.write(files[-1])
            count.computed[1] += 1
        count.add(1.0, f"matched {number} of {len(request.pairs)} pairs")
    return files


def _settings(request: Request) -> dict[str, Any]:
    """What all entries depend on; torch's versions may differ in the last digits."""
    return {"device": request.device, "torch": torch.__version__}


def _pixels(file: str) -> UInt8[np.ndarray, "h w 3"]:
    with Image.open(file) as image:
        return np.array(image.convert("RGB"))


def _mask(file: str) -> Bool[np.ndarray, "h w"]:
    with Image.open(file) as image:
        return np.array(image.convert("L")) == 255


if __name__ == "__main__":
    keep_freed_memory()
    child.serve(work)
