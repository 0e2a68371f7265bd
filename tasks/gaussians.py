"""A Gaussian splat: the one description of it that every stage shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32

TENSORS = ("means", "quats", "log_scales", "logit_opacities", "sh")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gaussians:
    """3D Gaussians as the PLY files everyone reads keep them (Kerbl et al., SIGGRAPH 2023)."""

    means: Float32[torch.Tensor, "n 3"]
    """World units."""
    quats: Float32[torch.Tensor, "n 4"]
    """Rotation of each Gaussian's axes to the world, wxyz; need not be normalised."""
    log_scales: Float32[torch.Tensor, "n 3"]
    """Natural logarithm of the standard deviations along the axes, world units."""
    logit_opacities: Float32[torch.Tensor, " n"]
    sh: Float32[torch.Tensor, "n k 3"]
    """Real spherical harmonics of the colour, ``k = (degree + 1) ** 2``, RGB last; a colour is
    ``0.5 + sum`` clamped below at 0 (sRGB as the photos give it)."""
    num_background: int = 0
    """The first so many stand far behind the scene, where they are never moved; they have a colour
    where nothing is known to be, but no depth that means anything."""

    @property
    def foreground(self) -> "Gaussians":
        """All but the background."""
        return Gaussians(**{name: getattr(self, name)[self.num_background :] for name in TENSORS})

    @property
    def background(self) -> "Gaussians":
        """The background alone."""
        kept = {name: getattr(self, name)[: self.num_background] for name in TENSORS}
        return Gaussians(**kept, num_background=self.num_background)

    def kept(self, rows: Bool[torch.Tensor, " n"]) -> "Gaussians":
        """Those that ``rows`` is true for."""
        kept = {name: getattr(self, name)[rows] for name in TENSORS}
        return Gaussians(**kept, num_background=int(rows[: self.num_background].sum()))

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        return int(self.sh.shape[1] ** 0.5) - 1


def joined(parts: Sequence[Gaussians]) -> Gaussians:
    """All, in order; harmonics are of one degree, and only the first may have a background."""
    together = {name: torch.cat([getattr(one, name) for one in parts]) for name in TENSORS}
    return Gaussians(**together, num_background=parts[0].num_background)
