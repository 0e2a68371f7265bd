"""Crops of views for training: their choice and augmentation."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn.functional import pad

from tasks.refine.photos.features import Features, features_of
from tasks.refine.training.config import TrainConfig
from tasks.refine.training.loss import Truth
from tasks.refine.training.pairs.pair import Pair, Pairs
from tasks.runtime.threads import limit_threads

LEAST_GAIN = 0.7
MOST_GAMMA = 1.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Crops, each of a different view where there are enough views."""

    features: Features
    truth: Truth

    def to(self, device: torch.device) -> "Batch":
        truth = self.truth
        return Batch(
            features=self.features.map(lambda planes: planes.to(device)),
            truth=Truth(
                target=truth.target.to(device),
                counts=truth.counts.to(device),
                before=truth.before.to(device),
            ),
        )


def batches(pairs: Pairs, config: TrainConfig, start: int = 0) -> Generator[Batch, None, None]:
    """Batches without end from step ``start`` on; step n is the same wherever it started.

    ``config.batch`` views are read at a time, on another thread, and each gives a crop to each of
    the next ``config.crops`` steps.
    """
    first, skipped = divmod(start, config.crops)
    # One thread for the reader: its own pools would wait for work on the cores that train.
    with ThreadPoolExecutor(1, initializer=limit_threads, initargs=(1,)) as reader:
        upcoming = reader.submit(read_round, pairs, config, first)
        number = first
        while True:
            made = upcoming.result()
            number += 1
            upcoming = reader.submit(read_round, pairs, config, number)
            yield from made[skipped:]
            skipped = 0


def read_round(pairs: Pairs, config: TrainConfig, number: int) -> list[Batch]:
    """The batches of the steps from ``number * config.crops`` on, as many as ``config.crops``."""
    of_views = [
        _crops_of_view(pairs[index], config, np.random.default_rng([config.seed, 1, turn]))
        for turn, index in _turns(len(pairs), config, number)
    ]
    return [_joined(crops) for crops in zip(*of_views, strict=True)]


def _turns(count: int, config: TrainConfig, number: int) -> Iterator[tuple[int, int]]:
    """Turns of a round, and whose they are: every view has one before any has its next."""
    for turn in range(number * config.batch, (number + 1) * config.batch):
        lap, place = divmod(turn, count)
        order = np.random.default_rng([config.seed, 0, lap]).permutation(count)
        yield turn, int(order[place])


def _crops_of_view(pair: Pair, config: TrainConfig, random: np.random.Generator) -> list[Batch]:
    features = features_of(pair.views, config.features)
    before = mean_squared_error(features.pictures[0, 1], pair)
    whole = _filled_up(
        Batch(
            features=features,
            truth=Truth(
                target=pair.target.permute(2, 0, 1)[None],
                counts=pair.counts[None],
                before=torch.tensor([before]),
            ),
        ),
        config.crop,
    )
    return [_varied(_cropped(whole, config.crop, random), random) for _ in range(config.crops)]


def mean_squared_error(image: Float32[Tensor, "3 h w"], pair: Pair) -> float:
    """Over the pixels of the photo that count."""
    squared = (image.permute(1, 2, 0) - pair.target).square().mean(2)
    return float((pair.counts * squared).sum() / pair.counts.sum().clamp_min(1))


def _filled_up(batch: Batch, edge: int) -> Batch:
    """A view smaller than a crop goes on as at its border, which does not count."""
    height, width = batch.truth.counts.shape[-2:]
    missing = (0, max(0, edge - width), 0, max(0, edge - height))
    truth = batch.truth

    def continued(planes: Tensor) -> Tensor:
        whole = pad(planes.flatten(0, -4), missing, mode="replicate")
        return whole.view(*planes.shape[:-2], *whole.shape[-2:])

    return Batch(
        features=batch.features.map(continued),
        truth=Truth(
            target=continued(truth.target),
            counts=pad(truth.counts, missing),
            before=truth.before,
        ),
    )


def _cropped(batch: Batch, edge: int, random: np.random.Generator) -> Batch:
    """A square somewhere, turned and mirrored in one of the eight ways."""
    height, width = batch.truth.counts.shape[-2:]
    top, left = (int(random.integers(extent - edge + 1)) for extent in (height, width))
    transposed, upside_down, mirrored = random.integers(2, size=3).astype(bool)
    flipped = [axis for axis, on in ((-2, upside_down), (-1, mirrored)) if on]

    def cut(planes: Tensor) -> Tensor:
        crop = planes[..., top : top + edge, left : left + edge].flip(flipped)
        return crop.transpose(-1, -2) if transposed else crop

    truth = batch.truth
    return Batch(
        features=batch.features.map(cut),
        truth=Truth(target=cut(truth.target), counts=cut(truth.counts), before=truth.before),
    )


def _varied(batch: Batch, random: np.random.Generator) -> Batch:
    """Other colours, the same in all pictures: channels exchanged, gamma, contrast, brightness.

    Pictures stay within [0, 1] without being cut off there. The error before is scaled like the
    contrast, so that a paler crop counts as much.
    """
    order = torch.from_numpy(random.permutation(3))
    gamma = float(MOST_GAMMA ** random.uniform(-1, 1))
    gain = torch.from_numpy(random.uniform(LEAST_GAIN, 1, size=(3, 1, 1)).astype(np.float32))
    offset = (1 - gain) * torch.from_numpy(random.random((3, 1, 1), dtype=np.float32))

    def coloured(pictures: Tensor) -> Tensor:
        chosen = pictures.index_select(-3, order).clamp_min(1e-6)
        return gain * chosen**gamma + offset

    return Batch(
        features=replace(batch.features, pictures=coloured(batch.features.pictures)),
        truth=Truth(
            target=coloured(batch.truth.target),
            counts=batch.truth.counts,
            before=batch.truth.before * gain.square().mean(),
        ),
    )


def _joined(crops: tuple[Batch, ...]) -> Batch:
    return Batch(
        features=Features(
            pictures=torch.cat([crop.features.pictures for crop in crops]),
            valid=torch.cat([crop.features.valid for crop in crops]),
            maps=torch.cat([crop.features.maps for crop in crops]),
        ),
        truth=Truth(
            target=torch.cat([crop.truth.target for crop in crops]),
            counts=torch.cat([crop.truth.counts for crop in crops]),
            before=torch.cat([crop.truth.before for crop in crops]),
        ),
    )
