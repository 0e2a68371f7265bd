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
from tasks.refine.diffusion.joint.schedule import Level
from tasks.runtime.context import Context

Image = Float[Tensor, "_ _ 3"]
Latents = Float[Tensor, "..."]
"""One view as it is denoised."""


@runtime_checkable
class Denoiser(Protocol):
    """Predicts views of some places from noisy ones; what else it knows of them is its own.

    Views may differ in size, and are given and taken one by one in the order of the places.
    """

    def __call__(self, noisy: Sequence[Latents], timestep: int) -> Sequence[Latents]:
        """The clean views that are expected behind noisy ones."""
        ...

    def encode(self, images: Sequence[Image]) -> Sequence[Latents]:
        """Images in [0, 1] as they are denoised."""
        ...

    def decode(self, latents: Sequence[Latents]) -> Sequence[Image]: ...


S = TypeVar("S", bound="Scene")


@runtime_checkable
class Scene(Protocol):
    """What can be fitted to views of the places, and shows them."""

    def fitted(self: S, images: Sequence[Image]) -> S:
        """A scene that shows the images, and the photos it knows, as well as one scene can."""
        ...

    def render(self) -> Sequence[Image]: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointSample(Generic[S]):
    """Views of one scene, and that scene."""

    views: Sequence[Image]
    """As the denoiser drew them last, sharper than the scene that was fitted to them."""
    scene: S


def sample_jointly(
    denoise: Denoiser,
    scene: S,
    levels: Sequence[Level],
    config: JointConfig,
    *,
    context: Context = Context(),
) -> JointSample[S]:
    """Draw views that one scene can show, and that scene.

    Args:
        denoise: of the scene's places, in their order.
        scene: shows them now; fits go on from it.
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
        context.progress(done / len(taken), f"denoised {len(shown)} views together, step {done}")
    return JointSample(views=denoise.decode(views), scene=scene)
