"""Pairs made up in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool2d

from tasks.refine.training.pairs.pair import Pair
from tests.support.view_batches import a_batch, noise


def blurred(image: torch.Tensor, radius: int = 2) -> torch.Tensor:
    planes = image.permute(0, 3, 1, 2)
    mean = avg_pool2d(planes, 2 * radius + 1, 1, radius, count_include_pad=False)
    return mean.permute(0, 2, 3, 1)


def a_pair(seed: int = 0, **changes: torch.Tensor) -> Pair:
    """A splat that shows a texture blurred and too dark, and photos that show it too bright.

    The photos disagree so much that `reproject` hardly believes them.
    """
    target = 0.15 + 0.6 * blurred(noise(1, 40, 56, 3, seed=seed), 1)
    photos = (
        target[:, None]
        + 0.05
        + 0.02 * torch.randn(1, 3, 40, 56, 3, generator=torch.Generator().manual_seed(seed + 1))
    )
    views = a_batch(
        render=blurred(target) - 0.05,
        swept=photos.clamp(0, 1),
        warped=photos[:, 0].clamp(0, 1),
        swept_cost=torch.full((1, 40, 56), 0.2),
        **changes,
    )
    return Pair(views=views, target=target[0], counts=torch.ones(40, 56))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HandmadePairs:
    pairs: Sequence[Pair]
    scenes: Sequence[str]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index]


def pairs_of(count: int) -> HandmadePairs:
    return HandmadePairs(
        pairs=[a_pair(10 * seed) for seed in range(count)],
        scenes=[f"scene_{index % 2}" for index in range(count)],
    )
