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

from tasks.refine.sync.config import SyncConfig
from tasks.refine.sync.schedule import Level
from tasks.site import Progress, no_progress


@runtime_checkable
class Denoiser(Protocol):
    """Predicts views of some places from noisy ones; what else it knows of them is its own."""

    def __call__(
        self, noisy: Float[Tensor, "n *latent"], timestep: int
    ) -> Float[Tensor, "n *latent"]:
        """The clean views that are expected behind noisy ones."""
        ...

    def encode(self, images: Float[Tensor, "n h w 3"]) -> Float[Tensor, "n *latent"]:
        """Images in [0, 1] as they are denoised."""
        ...

    def decode(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n h w 3"]: ...


S = TypeVar("S", bound="Scene")


@runtime_checkable
class Scene(Protocol):
    """What can be fitted to views of the places, and shows them."""

    def fitted(self: S, images: Float[Tensor, "n h w 3"]) -> S:
        """A scene that shows the images, and the photos it knows, as well as one scene can."""
        ...

    def render(self) -> Float[Tensor, "n h w 3"]: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Together(Generic[S]):
    """Views of one scene, and that scene."""

    views: Float[Tensor, "n h w 3"]
    """As the denoiser drew them last, sharper than the scene that was fitted to them."""
    scene: S


def sample_together(
    denoise: Denoiser,
    scene: S,
    levels: Sequence[Level],
    config: SyncConfig,
    *,
    progress: Progress = no_progress,
) -> Together[S]:
    """Draw views that one scene can show, and that scene.

    Args:
        denoise: of the scene's places, in their order.
        scene: shows them now; fits go on from it.
        levels: ``config.steps`` of them, from the noisiest on.
    """
    generator = torch.Generator().manual_seed(config.seed)
    shown = denoise.encode(scene.render())

    def noise() -> Tensor:
        return torch.randn(shown.shape, generator=generator, dtype=shown.dtype).to(shown.device)

    taken = levels[len(levels) - max(1, round(config.strength * len(levels))) :]
    noisy = noise() if len(taken) == len(levels) else taken[0].noised(shown, noise())
    views = noisy
    for done, level in enumerate(taken, start=1):
        views = clean = denoise(noisy, level.timestep)
        if done % config.fit_every == 0 or done == len(taken):
            scene = scene.fitted(denoise.decode(clean))
            clean = denoise.encode(scene.render())
        noisy = level.stepped(noisy, clean, noise(), config.fresh_noise)
        progress(done / len(taken), f"denoised {len(shown)} views together, step {done}")
    return Together(views=denoise.decode(views), scene=scene)
