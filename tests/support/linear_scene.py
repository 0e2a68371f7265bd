"""A scene of a few numbers whose views are linear in them, so that its fit is least squares."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tasks.refine.diffusion.joint.schedule import NoiseLevel

NUMBERS, PIXELS, VIEWS, PHOTOS = 8, 6, 4, 2
SHARED = slice(NUMBERS // 2)
"""Numbers that photos show."""
SPREAD = 0.1
"""Standard deviation of what a view may be about each of its means."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearScene:
    sees: Tensor
    """[n p d]: what each place shows of the scene's numbers."""
    photographed: Tensor
    """[m p d]."""
    photos: Tensor
    """[m p 3]."""
    numbers: Tensor
    """[d 3]."""

    def fitted(self, images: Sequence[Tensor]) -> "LinearScene":
        seen = torch.cat([self.sees, self.photographed]).flatten(0, 1)
        values = torch.cat([torch.cat(list(images)), self.photos]).flatten(0, 1)
        return replace(self, numbers=torch.linalg.lstsq(seen, values).solution)

    def render(self) -> list[Tensor]:
        """Images of one row."""
        return list((self.sees @ self.numbers)[:, None])


class Mixture:
    """Exact where each view is one of some Gaussians about ``means`` [n modes 1 p 3]."""

    def __init__(self, means: Tensor, levels: Sequence[NoiseLevel]) -> None:
        self.means, self.levels = means, levels

    def encode(self, images: Sequence[Tensor]) -> Sequence[Tensor]:
        return images

    def decode(self, latents: Sequence[Tensor]) -> Sequence[Tensor]:
        return latents

    def __call__(self, noisy: Sequence[Tensor], timestep: int) -> list[Tensor]:
        signal = self.levels[timestep].signal
        off = torch.stack(list(noisy))[:, None] - math.sqrt(signal) * self.means
        variance = signal * SPREAD**2 + 1 - signal
        of_mode = torch.softmax(-off.square().flatten(2).sum(-1) / (2 * variance), 1)
        clean = self.means + math.sqrt(signal) * SPREAD**2 / variance * off
        return list((of_mode[..., None, None, None] * clean).sum(1))


def levels(count: int) -> tuple[NoiseLevel, ...]:
    """The cosine schedule (Nichol and Dhariwal, ICML 2021, eq. 17)."""
    shares = [1 - index / count for index in range(count + 1)]
    signals = [max(1e-4, math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2) for share in shares]
    signals[-1] = 1.0
    return tuple(
        NoiseLevel(timestep=index, signal=signals[index], next_signal=signals[index + 1])
        for index in range(count)
    )


def draws(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(10_000 + seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def a_scene(seed: int, truth: Tensor) -> LinearScene:
    """Nothing is known of it yet but the photos of some numbers of ``truth`` [d 3]."""
    photographed = draws(seed + 1000, PHOTOS, PIXELS, NUMBERS) / math.sqrt(NUMBERS)
    photographed[..., SHARED.stop :] = 0
    return LinearScene(
        sees=draws(seed + 2000, VIEWS, PIXELS, NUMBERS) / math.sqrt(NUMBERS),
        photographed=photographed,
        photos=photographed @ truth,
        numbers=torch.zeros(NUMBERS, 3, dtype=torch.float64),
    )
