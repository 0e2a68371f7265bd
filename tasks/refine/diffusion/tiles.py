"""Images of any size through a network made for smaller ones: overlapping tiles without seams."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from tasks.refine.diffusion.config import TilesConfig

OnTiles = Callable[[Float[Tensor, "t c th tw"], list[int]], Float[Tensor, "t d th tw"]]
"""Takes some tiles and their numbers among all, and gives as many of equal size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How an image is cut."""

    longest: int
    """Most pixels of a tile along either axis."""
    overlap: int
    """Least pixels that two neighbours share; less than half of ``longest``."""
    multiple: int = 8
    """Sizes of tiles are multiples of this."""
    batch: int = 1
    """Tiles that are worked on at once."""


def tiling_for(config: TilesConfig, multiple: int, batch: int = 1) -> Tiling:
    """
    Args:
        multiple: what a network needs sizes to be multiples of, pixels; 8 at least.
        batch: tiles that are worked on at once.
    """
    return Tiling(
        longest=config.longest,
        overlap=config.overlap,
        multiple=math.lcm(8, multiple),
        batch=batch,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A tile along one axis, pixels."""

    start: int
    size: int

    @property
    def inside(self) -> slice:
        return slice(self.start, self.start + self.size)


def spans(length: int, tiling: Tiling) -> tuple[Span, ...]:
    """Tiles of one size that cover an axis, evenly spread; one alone may be longer than the axis.

    Args:
        length: of the axis, pixels.
    """
    step = tiling.multiple
    most = max(step, tiling.longest // step * step)
    if length <= most:
        return (Span(start=0, size=-(-length // step) * step),)
    count = -(-(length - tiling.overlap) // (most - tiling.overlap))
    # No longer than is needed: the same number of smaller tiles costs less.
    needed = -(-(length + (count - 1) * tiling.overlap) // count)
    size = min(most, -(-needed // step) * step)
    starts = [round(index * (length - size) / (count - 1)) for index in range(count)]
    return tuple(Span(start=start, size=size) for start in starts)


def windows(length: int, tiling: Tiling) -> Float[Tensor, "s length"]:
    """How much each tile of :func:`spans` counts along the axis: smooth, and 1 in sum everywhere.

    A tile counts nothing at an edge that lies within the image, most where it is furthest from it.
    """
    found = spans(length, tiling)
    places = torch.arange(length, dtype=torch.float64) + 0.5
    rising = torch.zeros(len(found), length, dtype=torch.float64)
    for weight, span in zip(rising, found, strict=True):
        left = torch.full_like(places, torch.inf) if span.start == 0 else places - span.start
        end = span.start + span.size
        right = torch.full_like(places, torch.inf) if end >= length else end - places
        ramp = torch.minimum(left, right) / max(1, tiling.overlap)
        weight[:] = torch.sin(torch.pi / 2 * ramp.clamp(0, 1)) ** 2
    return (rising / rising.sum(0)).float()


def tiled(
    on_tiles: OnTiles, images: Float[Tensor, "b c h w"], tiling: Tiling
) -> Float[Tensor, "b d h w"]:
    """What a function of tiles gives for whole images.

    An image that is no multiple in size is continued by its edge for as long as it takes.

    Args:
        on_tiles: gets at most ``tiling.batch`` tiles at once, those of the first image first;
            their numbers do not depend on how many come together.
    """
    height, width = images.shape[-2:]
    rows, columns = spans(height, tiling), spans(width, tiling)
    row_weights = windows(height, tiling).to(images.device)
    column_weights = windows(width, tiling).to(images.device)
    beyond = (0, max(0, columns[-1].size - width), 0, max(0, rows[-1].size - height))
    padded = pad(images, beyond, mode="replicate") if any(beyond) else images
    places = [
        (image, row, column)
        for image in range(len(images))
        for row in range(len(rows))
        for column in range(len(columns))
    ]
    total: Tensor | None = None
    for numbers in _chunks(len(places), tiling.batch):
        chosen = [places[number] for number in numbers]
        cut = torch.stack(
            [padded[i, :, rows[row].inside, columns[column].inside] for i, row, column in chosen]
        )
        found = on_tiles(cut, numbers)
        if total is None:
            total = images.new_zeros(len(images), found.shape[1], height, width)
        for one, (image, row, column) in zip(found, chosen, strict=True):
            down, across = rows[row].inside, columns[column].inside
            part = total[image, :, down, across]
            weight = row_weights[row, down, None] * column_weights[column, across]
            part += weight * one[:, : part.shape[-2], : part.shape[-1]]
    assert total is not None  # there is an image, and it has a tile
    return total


def _chunks(count: int, most: int) -> Iterator[list[int]]:
    for first in range(0, count, most):
        yield list(range(first, min(first + most, count)))
