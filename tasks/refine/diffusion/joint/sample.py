"""Views denoised together, kept to one scene at every step.

Views that are denoised each for itself are good one by one and contradict one another, and a splat
fitted to them afterwards is the mean of their contradictions. Here the clean views predicted at a
step are fitted by a scene, and what it shows stands in for them in the posterior mean: a choice
that one view makes early becomes that of all, while there is still noise enough to follow it.

Source: Xue et al., Gen-3Diffusion, 2024 (arXiv 2412.06698), algorithm 2, without its training: the
scene is a splat that is fitted, not a network that predicts one, and photos are always in the fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.refine.diffusion.joint.config import JointConfig
from tasks.refine.diffusion.joint.schedule import NoiseLevel
from tasks.runtime.context import Context

Image = Float[Tensor, "_ _ 3"]
Latents = Float[Tensor, "..."]
"""One view as it is denoised."""


@runtime_checkable
class Denoiser(Protocol):
    """Predicts views of some places from noisy ones, by conditions of its own.

    Views may differ in size, and are given and taken one by one in the order of the places.
    """

    def __call__(self, noisy: Sequence[Latents], timestep: int) -> Sequence[Latents]:
        """The expected clean views of noisy ones."""
        ...

    def encode(self, images: Sequence[Image]) -> Sequence[Latents]:
        """Latents of images in [0, 1]."""
        ...

    def decode(self, latents: Sequence[Latents]) -> Sequence[Image]: ...


S = TypeVar("S", bound="Scene")


@runtime_checkable
class Scene(Protocol):
    """A scene that can be fitted to views of the places, and rendered there."""

    def fitted(self: S, images: Sequence[Image]) -> S:
        """The scene fitted to the images and to its photos."""
        ...

    def render(self) -> Sequence[Image]: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointSample(Generic[S]):
    """Views of one scene, and the scene."""

    views: Sequence[Image]
    """Last prediction of the denoiser, sharper than the scene that was fitted to it."""
    scene: S


def sample_jointly(
    denoise: Denoiser,
    scene: S,
    levels: Sequence[NoiseLevel],
    config: JointConfig,
    *,
    context: Context = Context(),
) -> JointSample[S]:
    """Sample views that are consistent with one scene, and that scene.

    Args:
        denoise: of the scene's places, in their order.
        scene: initial scene of the fits.
        levels: ``config.steps`` of them, from the noisiest on.
    """
    generator = torch.Generator().manual_seed(config.seed)
    shown = denoise.encode(scene.render())

    def noise() -> list[Tensor]:
        return [
            torch.randn(one.shape, generator=generator, dtype=one.dtype).to(one.device)
            for one in shown
        ]

    taken = levels[len(levels) - max(1, round(config.strength * len(levels))) :]
    noisy = noise()
    if len(taken) < len(levels):
        noisy = [taken[0].noised(*one) for one in zip(shown, noisy, strict=True)]
    views: Sequence[Tensor] = noisy
    for done, level in enumerate(taken, start=1):
        views = clean = denoise(noisy, level.timestep)
        if done % config.fit_every == 0 or done == len(taken):
            scene = scene.fitted(denoise.decode(clean))
            clean = denoise.encode(scene.render())
        noisy = [
            level.stepped(*one, config.fresh_noise)
            for one in zip(noisy, clean, noise(), strict=True)
        ]
        context.progress(done / len(taken), f"denoised {len(shown)} views jointly, step {done}")
    return JointSample(views=denoise.decode(views), scene=scene)
