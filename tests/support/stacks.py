"""Grey photos with what a splat would make of them, made by hand."""

import numpy as np

from tasks.cameras import Cameras
from tasks.views.visibility import PhotoStack


def stack_of(
    cameras: Cameras,
    depths: np.ndarray,
    errors: np.ndarray | None = None,
    usable: np.ndarray | None = None,
) -> PhotoStack:
    """Of the given depths and errors (255 for 1; 0 if None), both [n h w]; all usable if None."""
    shape = depths.shape
    return PhotoStack(
        cameras=cameras,
        photos=np.full((*shape, 3), 128, np.uint8),
        errors=(np.zeros(shape) if errors is None else errors).astype(np.uint8)[..., None],
        depths=depths.astype(np.float32),
        usable=np.ones(shape, bool) if usable is None else usable,
    )
