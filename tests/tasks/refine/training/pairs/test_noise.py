"""Noise on splats for training pairs."""

from dataclasses import replace

import numpy as np
import torch

from tasks.gaussians import TENSORS, Gaussians
from tasks.refine.training.pairs.config import NoiseConfig
from tasks.refine.training.pairs.noise import perturbed

NONE = NoiseConfig(shift=0, stretch=0, fade=0, dropped=0)


def a_splat(count: int = 4000, num_background: int = 100) -> Gaussians:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=normal(count, 3),
        quats=normal(count, 4),
        log_scales=torch.full((count, 3), -3.0),
        logit_opacities=normal(count),
        sh=normal(count, 4, 3),
        num_background=num_background,
    )


class FullDice(np.random.Generator):
    """Draws that the most be done."""

    def random(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        drawn = super().random(*args, **kwargs)  # type: ignore[call-overload]
        return drawn if args else 1.0


def full() -> np.random.Generator:
    return FullDice(np.random.PCG64(1))


def test_zero_noise_keeps_the_splat() -> None:
    splat = a_splat()
    found = perturbed(splat, NONE, full())
    assert all(torch.equal(getattr(found, name), getattr(splat, name)) for name in TENSORS)


def test_noise_has_the_configured_size_and_spares_the_background() -> None:
    splat = a_splat()
    config = NoiseConfig(shift=0.5, stretch=0.3, fade=1.0, dropped=0)
    found = perturbed(splat, config, full())
    assert found.num_background == 100
    for name in TENSORS:
        assert torch.equal(getattr(found.background, name), getattr(splat.background, name))
    front, moved = splat.foreground, found.foreground
    widths = np.exp(-3.0)
    for name, expected in (
        ("means", 0.5 * widths),
        ("log_scales", 0.3),
        ("logit_opacities", 1.0),
    ):
        change = getattr(moved, name) - getattr(front, name)
        np.testing.assert_allclose(float(change.std()), expected, rtol=0.05)
    assert torch.equal(moved.sh, front.sh)


def test_the_configured_share_of_foreground_gaussians_is_dropped() -> None:
    splat = a_splat()
    found = perturbed(splat, NONE.model_copy(update={"dropped": 0.3}), full())
    np.testing.assert_allclose(len(found.foreground) / len(splat.foreground), 0.7, atol=0.03)
    assert torch.equal(found.background.means, splat.background.means)


def test_the_noise_strength_is_random_and_determined_by_the_seed() -> None:
    splat = a_splat(num_background=0)
    config = NoiseConfig(stretch=0, fade=0, dropped=0)

    def shift(seed: int) -> float:
        found = perturbed(splat, config, np.random.default_rng(seed))
        return float((found.means - splat.means).std())

    drawn = [shift(seed) for seed in range(20)]
    assert drawn == [shift(seed) for seed in range(20)]
    assert max(drawn) <= 1.05 * 0.5 * np.exp(-3.0)
    assert min(drawn) < 0.3 * max(drawn)
    assert not torch.equal(
        perturbed(splat, config, full()).means, perturbed(replace(splat), NONE, full()).means
    )
