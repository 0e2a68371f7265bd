"""How much noise is left at each step of a diffusion."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class NoiseScheduler(Protocol):
    """What is read of diffusers' ``DDIMScheduler``."""

    alphas_cumprod: Tensor
    final_alpha_cumprod: Tensor
    timesteps: Tensor

    def set_timesteps(self, num_inference_steps: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseLevel:
    """One step: a noisy view is ``sqrt(signal) clean + sqrt(1 - signal) noise``."""

    timestep: int
    """As the network counts."""
    signal: float
    """Before the step, in (0, 1); the cumulative product of the alphas."""
    next_signal: float
    """After it; 1 where no noise is left."""

    def noised(
        self, clean: Float[Tensor, "*latent"], noise: Float[Tensor, "*latent"]
    ) -> Float[Tensor, "*latent"]:
        return math.sqrt(self.signal) * clean + math.sqrt(1 - self.signal) * noise

    def stepped(
        self,
        noisy: Float[Tensor, "*latent"],
        clean: Float[Tensor, "*latent"],
        fresh: Float[Tensor, "*latent"],
        fresh_noise: float,
    ) -> Float[Tensor, "*latent"]:
        """What the views are after the step, if ``clean`` is what they are without noise.

        Args:
            fresh: unit noise.
            fresh_noise: how much of it, as a share of the posterior's deviation: 1 draws from
                ``q(x_next | noisy, clean)``, 0 goes on with the noise that is there.

        Source: Song et al., Denoising Diffusion Implicit Models, ICLR 2021, eqs. 12 and 16.
        """
        noise = (noisy - math.sqrt(self.signal) * clean) / math.sqrt(1 - self.signal)
        left = 1 - self.next_signal
        deviation = fresh_noise * math.sqrt(
            left / (1 - self.signal) * (1 - self.signal / self.next_signal)
        )
        kept = math.sqrt(left - deviation**2)
        return math.sqrt(self.next_signal) * clean + kept * noise + deviation * fresh


def noise_levels(scheduler: NoiseScheduler, steps: int) -> tuple[NoiseLevel, ...]:
    """The steps of a scheduler of diffusers, from the noisiest on."""
    scheduler.set_timesteps(steps)
    timesteps = [int(timestep) for timestep in scheduler.timesteps]
    signals = [float(scheduler.alphas_cumprod[timestep]) for timestep in timesteps]
    signals.append(float(scheduler.final_alpha_cumprod))
    return tuple(
        NoiseLevel(timestep=timestep, signal=signal, next_signal=after)
        for timestep, signal, after in zip(timesteps, signals[:-1], signals[1:], strict=True)
    )
