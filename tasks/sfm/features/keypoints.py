"""Keypoints of a score map.

A keypoint is a pixel that no neighbour within 2 px surpasses, moved to the mean of the 5x5 pixels
around it, each weighted by exp(score / 0.1).

Source: Zhao et al., ALIKE: Accurate and Lightweight Keypoint Detection and Descriptor Extraction,
IEEE Trans. Multimedia 25, 2023, section III-B (differentiable keypoint detection).
"""

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional

from tasks.sfm.features.deformable import sampled

RADIUS = 2
"""Px."""
SIDE = 2 * RADIUS + 1
TEMPERATURE = 0.1
ROUNDS = 2
"""Of suppression: what a suppressed pixel had suppressed gets another chance."""


def detect(
    score: Float32[Tensor, "h w"],
    *,
    threshold: float,
    most: int,
    use: Bool[Tensor, "h w"] | None = None,
) -> tuple[Float32[Tensor, "n 2"], Float32[Tensor, " n"]]:
    """Keypoints, the strongest first, and their scores.

    Args:
        threshold: least score of a keypoint's pixel.
        most: number of keypoints.
        use: pixels whose keypoints are wanted.

    Returns:
        x and y in pixels whose centres are whole numbers; score there.
    """
    width = score.shape[1]
    peaks = _peaks(score) & (score > threshold)
    peaks[:RADIUS] = peaks[-RADIUS:] = False
    peaks[:, :RADIUS] = peaks[:, -RADIUS:] = False
    if use is not None:
        peaks &= use
    found = peaks.flatten().nonzero()[:, 0]
    order = score.flatten()[found].sort(descending=True, stable=True).indices[:most]
    found = found[order]
    pixel = torch.stack([found % width, found // width], dim=1)
    steps = torch.arange(-RADIUS, RADIUS + 1, device=score.device)
    around = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).view(-1, 2)
    x, y = (pixel[:, None] + around).unbind(-1)
    weights = (score[y, x] / TEMPERATURE).softmax(dim=1)
    xy = pixel + weights @ around.to(score.dtype)
    return xy, sampled(score[None, None], xy[None, None])[0, 0, 0]


def _peaks(score: Float32[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """Pixels that are largest among their neighbours, or among those that no peak suppresses."""
    peaks = score == _largest(score)
    for _ in range(ROUNDS):
        suppressed = _largest(peaks.to(score.dtype)) > 0
        rest = torch.where(suppressed, 0.0, score)
        peaks = peaks | ((rest == _largest(rest)) & ~suppressed)
    return peaks


def _largest(values: Float32[Tensor, "h w"]) -> Float32[Tensor, "h w"]:
    rows = functional.max_pool2d(values[None], (1, SIDE), stride=1, padding=(0, RADIUS))
    return functional.max_pool2d(rows, (SIDE, 1), stride=1, padding=(RADIUS, 0))[0]
