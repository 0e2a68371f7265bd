"""Small splats to render in tests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tasks.splat.rasterise.protocol import PinholeCameras, SplatTensors

NAMES = ("means", "quats", "scales", "opacities", "sh")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    gaussians: dict[str, Tensor]
    """Float64, by the names of :data:`NAMES`."""
    view: PinholeCameras

    def tensors(self, dtype: torch.dtype, *, requires_grad: bool = False) -> list[Tensor]:
        return [
            self.gaussians[name].to(dtype, copy=True).requires_grad_(requires_grad)
            for name in NAMES
        ]

    def splat(self) -> SplatTensors:
        """Without gradients."""
        return splat_of(self.tensors(torch.float32))


def splat_of(tensors: Sequence[Tensor]) -> SplatTensors:
    """From tensors in the order of :data:`NAMES`."""
    return SplatTensors(**dict(zip(NAMES, tensors, strict=True)))


def view(width: int, height: int, *, turn_rad: float = 0.2) -> PinholeCameras:
    """A turned and shifted camera with its principal point off the centre."""
    camera_from_world = np.eye(4)
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    camera_from_world[:3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]
    camera_from_world[:3, 3] = [0.1, -0.05, 0.2]
    return PinholeCameras(
        camera_from_world=camera_from_world,
        intrinsics=np.array(
            [[0.9 * width, 0, width / 2 + 0.3], [0, 0.95 * width, height / 2 - 0.7], [0, 0, 1.0]]
        ),
        width=width,
        height=height,
    )


def stacked(*views: PinholeCameras) -> PinholeCameras:
    """Cameras of one size as a stack."""
    return replace(
        views[0],
        camera_from_world=np.stack([view.camera_from_world for view in views]),
        intrinsics=np.stack([view.intrinsics for view in views]),
    )


def random_scene(
    count: int, width: int, height: int, *, seed: int, size: float = 1.0, shift_z: float = 3.0
) -> Scene:
    """Gaussians before the camera, some of them behind it or outside its view, of all opacities."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        # Rounded to float32, so that every float type starts from the same numbers.
        return torch.randn(*shape, generator=generator, dtype=torch.float32).double()

    means = normal(count, 3) * torch.tensor([1.0, 0.8, 0.6]).double()
    means[:, 2] += shift_z
    return Scene(
        gaussians={
            "means": means.float().double(),
            "quats": normal(count, 4),
            "scales": (size * torch.exp(0.7 * normal(count, 3) - 2.3)).float().double(),
            "opacities": torch.sigmoid(2 * normal(count)).float().double(),
            "sh": (0.25 * normal(count, 16, 3)).float().double(),
        },
        view=view(width, height),
    )
