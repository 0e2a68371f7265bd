"""Reprojection of a view's pixels into photos.

A pixel p = (x, y, 1) of the view at depth z lies in photo j at ``z A_j p + b_j``, homogeneous
pixels whose third coordinate is the depth there: ``A_j = K_j R_j K^-1`` and ``b_j = K_j t_j`` for
the intrinsics K of the view, the intrinsics K_j and the pose (R_j, t_j) of photo j from the
view's camera.
"""

import numpy as np
from jaxtyping import Float32, Float64

from tasks.cameras import Cameras


def relative_maps(
    camera: Cameras, photos: Cameras
) -> tuple[Float32[np.ndarray, "k 3 3"], Float32[np.ndarray, "k 3"]]:
    """A and b of the module's formula."""
    pose, intrinsics = _photo_from_view(camera, photos), photos.intrinsics
    maps = intrinsics @ pose[:, :3, :3] @ np.linalg.inv(camera.intrinsics[0])
    offsets = np.einsum("nij,nj->ni", intrinsics, pose[:, :3, 3])
    return maps.astype(np.float32), offsets.astype(np.float32)


def halved_maps(
    maps: Float32[np.ndarray, "k 3 3"], offsets: Float32[np.ndarray, "k 3"]
) -> tuple[Float32[np.ndarray, "k 3 3"], Float32[np.ndarray, "k 3"]]:
    """The same for view and photos of half the size."""
    pixels = np.array([0.5, 0.5, 1], np.float32)
    return pixels[:, None] * maps / pixels, pixels * offsets


def relative_centres(camera: Cameras, photos: Cameras) -> Float32[np.ndarray, "k 3"]:
    """Centres of the photos' cameras in the view's camera frame."""
    pose = _photo_from_view(camera, photos)
    return -np.einsum("nji,nj->ni", pose[:, :3, :3], pose[:, :3, 3]).astype(np.float32)


def _photo_from_view(camera: Cameras, photos: Cameras) -> Float64[np.ndarray, "k 4 4"]:
    return photos.camera_from_world @ camera.world_from_camera[0]
