"""Steps against diffusers' own and against the posterior worked out by conditioning Gaussians."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.refine.diffusion.joint.schedule import NoiseLevel, noise_levels

signals = st.floats(0.01, 0.98)


def noise(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@given(signal=signals, gained=st.floats(0.05, 0.95))
def test_with_fresh_noise_a_step_samples_the_posterior(signal: float, gained: float) -> None:
    after = signal + gained * (1 - signal)
    level = NoiseLevel(timestep=0, signal=signal, next_signal=after)
    clean, noisy = 0.3, -0.8
    # x_next = sqrt(after) clean + N(0, 1 - after); noisy = sqrt(share) x_next + N(0, 1 - share).
    share = signal / after
    prior, gain = 1 - after, np.sqrt(share)
    variance = 1 / (1 / prior + gain**2 / (1 - share))
    mean = variance * (np.sqrt(after) * clean / prior + gain * noisy / (1 - share))

    def step(fresh: float) -> float:
        views = (torch.full((1, 1), value, dtype=torch.float64) for value in (noisy, clean, fresh))
        return float(level.stepped(*views, 1.0))

    assert step(0.0) == pytest.approx(mean, abs=1e-9)
    assert step(1.0) - step(0.0) == pytest.approx(np.sqrt(variance), abs=1e-9)


def test_the_last_step_returns_the_clean_views() -> None:
    level = NoiseLevel(timestep=0, signal=0.7, next_signal=1.0)
    noisy, clean, fresh = (noise(2, 5, seed=seed) for seed in range(3))
    np.testing.assert_allclose(level.stepped(noisy, clean, fresh, 1.0), clean, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("set_alpha_to_one", [False, True])
def test_steps_match_diffusers(eta: float, set_alpha_to_one: bool) -> None:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    scheduler = DDIMScheduler(
        prediction_type="sample", clip_sample=False, set_alpha_to_one=set_alpha_to_one
    )
    levels = noise_levels(scheduler, 7)
    assert len(levels) == 7
    for index, level in enumerate(levels):
        noisy, clean, fresh = (noise(2, 3, 4, seed=3 * index + seed) for seed in range(3))
        wanted = scheduler.step(clean, level.timestep, noisy, eta=eta, variance_noise=fresh)
        found = level.stepped(noisy, clean, fresh, eta)
        np.testing.assert_allclose(found, wanted.prev_sample, atol=1e-5)


def test_noised_views_match_diffusers() -> None:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    scheduler = DDIMScheduler()
    level = noise_levels(scheduler, 5)[1]
    clean, drawn = noise(2, 3, seed=0), noise(2, 3, seed=1)
    wanted = scheduler.add_noise(clean, drawn, torch.tensor([level.timestep]))
    np.testing.assert_allclose(level.noised(clean, drawn), wanted, atol=1e-6)
