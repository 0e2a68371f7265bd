"""A splat of a wall with a painted pattern, and photos of it that are formulas."""

import numpy as np
import torch

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.splat.init.points import SH_0
from tests.support.cameras_by_hand import cameras_at

DEPTH = 4.0
COLUMNS, ROWS = 100, 60
SPACING = 0.1


def paint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """RGB in [0, 1] at places of the wall, which is the plane z = ``DEPTH``."""
    waves = [np.sin(x + 1), np.cos(1.5 * y - x), np.sin(0.5 * x + y)]
    return 0.5 + 0.3 * np.stack(waves, axis=-1)


def wall() -> Gaussians:
    """Flat, nearly opaque Gaussians that overlap, so that depth is exact and colour nearly."""
    x, y = np.meshgrid(
        (np.arange(COLUMNS) - (COLUMNS - 1) / 2) * SPACING,
        (np.arange(ROWS) - (ROWS - 1) / 2) * SPACING,
    )
    count = x.size
    means = np.stack([x.ravel(), y.ravel(), np.full(count, DEPTH)], axis=1)
    scales = np.tile([0.6 * SPACING, 0.6 * SPACING, 1e-4], (count, 1))
    sh = (paint(x.ravel(), y.ravel()) - 0.5) / SH_0
    return Gaussians(
        means=torch.tensor(means, dtype=torch.float32),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        log_scales=torch.tensor(np.log(scales), dtype=torch.float32),
        logit_opacities=torch.full((count,), 4.0),
        sh=torch.tensor(sh, dtype=torch.float32)[:, None],
    )


def photograph(cameras: Cameras) -> list[np.ndarray]:
    """What cameras that look straight at the wall see of the paint."""
    photos = []
    for pose, lens, (width, height) in zip(
        cameras.world_from_camera, cameras.intrinsics, cameras.sizes.tolist(), strict=True
    ):
        columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        distance = DEPTH - pose[2, 3]
        x = (columns - lens[0, 2]) / lens[0, 0] * distance + pose[0, 3]
        y = (rows - lens[1, 2]) / lens[1, 1] * distance + pose[1, 3]
        photos.append(np.round(255 * paint(x, y)).astype(np.uint8))
    return photos


def training_cameras() -> Cameras:
    """Four on a line before the wall, a unit apart."""
    return cameras_at(np.arange(4.0)[:, None] * np.array([1.0, 0, 0]) - [1.5, 0, 0])
