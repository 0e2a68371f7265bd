"""Layout of a scene's pairs in the store, and a reader of the pairs of many scenes.

Arrays, for pair ``0000``, ``0001``, ...: ``levels_`` (uint8, [channel h w]), of the channels in
``LEVELS`` and then, for each swept photo, its three colours, and ``depths_`` (float16, [2 h w]): of
the render and of the sweep, in units of the attribute ``depth_unit``. Photos are stored once, in
the sizes in which pairs need them: ``photo_0000``, ... (uint8, [h w 3]), and ``mask_0000`` (bool,
[h w]) where one has a mask.

255 stands for 1. The sweep's cost, and gap and error at its surface, are kept as their square
roots, since small ones matter most; which swept photos show a pixel is a bit each.

Values read are within half a grey level (0.002) of those mined, roots within ``0.004 sqrt(x)``,
and depths within 2^-11 of themselves (0.05 %: a twentieth of a pixel at a parallax of 100 px).
Values of 0 and 1 are exact.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16, Float32, UInt8

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.images import from_uint8, to_uint8
from tasks.refine.refiner import ViewBatch
from tasks.refine.training.pairs.mine import Mined
from tasks.refine.training.pairs.pair import Pair

COLOURS = ("render", "warped")
SHARES = ("alpha", "confidence", "warped_valid")
ROOTS = ("swept_cost", "surface_gap", "surface_error")
LEVELS = (
    *(f"{name}_{channel}" for name in COLOURS for channel in ("red", "green", "blue")),
    *SHARES,
    *(f"{name}_root" for name in ROOTS),
    "swept_valid_bits",
)
DEPTHS = ("depth", "swept_depth")
SMALLEST, LARGEST = 2.0**-14, 65504.0
"""Depths, in units of the view's median, that float16 holds as exactly as others."""


def write_pairs(out: Writer, scene: str, mined: Iterable[Mined]) -> dict[str, Any]:
    """Add pairs to ``out`` as they are mined.

    Returns:
        The attributes to commit ``out`` with.
    """
    photos = _PhotoWriter(out=out)
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(mined):
        views = one.pair.views
        unit = float(views.depth.median())
        photo = photos.add(one.view, one.pair.target, one.pair.counts)
        nearest_photo = photos.add(one.nearest, views.nearest[0], None)
        out.add(f"levels_{number:04d}", _levels_of(views), ("channel", "y", "x"))
        out.add(f"depths_{number:04d}", _depths_of(views, unit), ("render_sweep", "y", "x"))
        rows.append(
            {
                "view": one.view,
                "photo": photo,
                "nearest": one.nearest,
                "nearest_photo": nearest_photo,
                "training": list(one.training),
                "iterations": one.iterations,
                "noisy": one.noisy,
                "seen": one.seen,
                "depth_unit": unit,
            }
        )
    return {"scene": scene, "levels": list(LEVELS), "masked": photos.masked, "pairs": rows}


@dataclass(slots=True, kw_only=True)
class _PhotoWriter:
    """Stores each photo once in each size."""

    out: Writer
    numbers: dict[tuple[str, int, int], int] = field(default_factory=dict)
    """Number of each stored photo, by name, height and width."""
    masked: list[int] = field(default_factory=list)
    """Numbers of the photos that have a mask."""

    def add(
        self,
        name: str,
        image: Float32[torch.Tensor, "h w 3"],
        counts: Float32[torch.Tensor, "h w"] | None,
    ) -> int:
        """The photo's number; its mask is stored the first time that the photo is a target."""
        key = (name, image.shape[0], image.shape[1])
        if key not in self.numbers:
            self.numbers[key] = len(self.numbers)
            photo = to_uint8(image.numpy())
            self.out.add(f"photo_{self.numbers[key]:04d}", photo, ("y", "x", "channel"))
        number = self.numbers[key]
        if counts is not None and number not in self.masked and not bool(counts.all()):
            self.masked.append(number)
            self.out.add(f"mask_{number:04d}", counts.numpy() > 0, ("y", "x"))
        return number


def digest_of(handles: Sequence[ArrayHandle]) -> str:
    """Digest of all pairs of these scenes, independent of their order."""
    return sha256("\n".join(sorted(handle.digest for handle in handles)).encode()).hexdigest()


class StoredPairs:
    """Stored pairs of many scenes, in the order of the handles; each is read on access."""

    def __init__(self, handles: Sequence[ArrayHandle]) -> None:
        self._handles = tuple(handles)
        attributes = [handle.attributes for handle in self._handles]
        self._rows = [one["pairs"] for one in attributes]
        self._masked = [frozenset(one["masked"]) for one in attributes]
        self._ends = list(accumulate(map(len, self._rows)))
        self.scenes: Sequence[str] = tuple(one["scene"] for one in attributes for _ in one["pairs"])

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Pair:
        """
        Raises:
            IndexError: there are fewer.
            IntegrityError: what is stored is damaged.
        """
        place = range(len(self))[index]
        which = bisect_right(self._ends, place)
        number = place - (self._ends[which] - len(self._rows[which]))
        stored, row = self._handles[which], self._rows[which][number]
        target = torch.from_numpy(from_uint8(stored.array(f"photo_{row['photo']:04d}")))
        if row["photo"] in self._masked[which]:
            mask = stored.array(f"mask_{row['photo']:04d}")
            counts = torch.from_numpy(mask.astype(np.float32))
        else:
            counts = torch.ones(target.shape[:2])
        views = _views_of(
            stored.array(f"levels_{number:04d}"),
            stored.array(f"depths_{number:04d}"),
            stored.array(f"photo_{row['nearest_photo']:04d}"),
            row["depth_unit"],
        )
        return Pair(views=views, target=target, counts=counts)


def _levels_of(views: ViewBatch) -> UInt8[np.ndarray, "c h w"]:
    """The channels of ``LEVELS``, then the colours of the swept photos."""
    assert views.swept.shape[1] <= 8  # a bit each
    bits = np.packbits(views.swept_valid[0].numpy() > 0.5, axis=0, bitorder="little")
    colours = [to_uint8(getattr(views, name)[0].numpy()).transpose(2, 0, 1) for name in COLOURS]
    shares = [to_uint8(getattr(views, name).numpy()) for name in SHARES]
    roots = [to_uint8(getattr(views, name).clamp(0, 1).sqrt().numpy()) for name in ROOTS]
    swept = to_uint8(views.swept[0].numpy()).transpose(0, 3, 1, 2)
    return np.concatenate([*colours, *shares, *roots, bits, *swept])


def _depths_of(views: ViewBatch, unit: float) -> Float16[np.ndarray, "2 h w"]:
    depths = np.concatenate([getattr(views, name).numpy() for name in DEPTHS])
    return np.clip(depths / unit, SMALLEST, LARGEST).astype(np.float16)


def _views_of(
    stored: UInt8[np.ndarray, "c h w"],
    depths: Float16[np.ndarray, "2 h w"],
    nearest: UInt8[np.ndarray, "h w 3"],
    unit: float,
) -> ViewBatch:
    shares = torch.from_numpy(from_uint8(stored))
    names = iter(range(len(LEVELS)))
    fields: dict[str, torch.Tensor] = {}
    for name in COLOURS:
        channels = [next(names) for _ in range(3)]
        fields[name] = shares[channels].permute(1, 2, 0)[None].contiguous()
    for name in SHARES:
        fields[name] = shares[next(names)][None]
    for name in ROOTS:
        fields[name] = shares[next(names)][None] ** 2
    photos = (len(stored) - len(LEVELS)) // 3
    bits = stored[next(names)]
    valid = np.unpackbits(bits[None], axis=0, count=photos, bitorder="little")
    swept = shares[len(LEVELS) :].reshape(photos, 3, *stored.shape[1:]).permute(0, 2, 3, 1)
    metric = torch.from_numpy(depths.astype(np.float32) * np.float32(unit))
    return ViewBatch(
        **fields,
        depth=metric[:1],
        swept_depth=metric[1:],
        nearest=torch.from_numpy(from_uint8(nearest))[None],
        swept=swept[None].contiguous(),
        swept_valid=torch.from_numpy(valid.astype(np.float32))[None],
    )
