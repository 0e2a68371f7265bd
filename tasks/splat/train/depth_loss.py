"""Loss of rendered depth against a depth map."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from tasks.runtime.context import Device

OPAQUE = 0.5
"""Alpha below which a pixel's expected depth means little."""
NEAREST = 1e-3
"""Lower bound of depths, in typical depths, so that 1 / depth stays bounded."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthTarget:
    """Inverse depth of a photo where it is known."""

    closeness: Float32[Tensor, "h w"]
    """``typical / depth``; 0 where the depth is unknown."""
    typical: float
    """Median depth of the photo, world units."""


def depth_target(
    depth: Float32[np.ndarray, "h w"], size: tuple[int, int], device: Device
) -> DepthTarget | None:
    """Target from a depth map, world units, 0 = unknown; None where nothing is known.

    Args:
        size: width and height of the renders, px.
    """
    if not (known := depth[depth > 0]).size:
        return None
    typical = float(np.median(known))
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for new, old in zip(size[::-1], depth.shape, strict=True)
    )
    nearest = depth[np.ix_(rows, columns)]
    closeness = np.where(nearest > 0, np.float32(typical) / np.maximum(nearest, 1e-30), 0)
    return DepthTarget(
        closeness=torch.from_numpy(closeness.astype(np.float32)).to(device), typical=typical
    )


def depth_loss(
    depth: Float[Tensor, "h w"], alpha: Float[Tensor, "h w"], target: DepthTarget
) -> Float[Tensor, ""]:
    """Mean over all pixels of ``|typical / depth - typical / target|``, where it is known.

    Args:
        depth: expected depth, world units; gets the gradient.
        alpha: of the same rendering; pixels below ``OPAQUE`` do not count.
    """
    counts = (target.closeness > 0) & (alpha.detach() > OPAQUE)
    closeness = target.typical / depth.clamp_min(NEAREST * target.typical)
    return ((closeness - target.closeness).abs() * counts).mean()
