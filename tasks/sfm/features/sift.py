"""SIFT features of COLMAP in the form that LightGlue takes."""

import numpy as np
from jaxtyping import Float, UInt8

from tasks.sfm.features.exchange import PhotoFeatures


def sift_features(
    keypoints: Float[np.ndarray, "n c"],
    descriptors: UInt8[np.ndarray, "n 128"],
    size: tuple[int, int],
) -> PhotoFeatures:
    """Features of a photo from what COLMAP's database holds.

    Its descriptors are normalised so that they are RootSIFT (Arandjelovic and Zisserman, CVPR 2012)
    up to a factor.

    Args:
        keypoints: x, y, and either scale and angle (c = 4) or the affine shape a11, a12, a21, a22
            (c = 6), px; the centre of the upper left pixel is (0.5, 0.5).
        size: width and height of the photo, px.
    """
    if keypoints.shape[1] == 6:
        a11, a12, a21, a22 = keypoints[:, 2:].T
        scale = (np.hypot(a11, a21) + np.hypot(a12, a22)) / 2
        angle = np.arctan2(a21, a11)
    else:
        scale, angle = keypoints[:, 2:].T
    norm = np.linalg.norm(descriptors.astype(np.float32), axis=1, keepdims=True)
    return PhotoFeatures(
        xy=keypoints[:, :2].astype(np.float32),
        descriptors=(descriptors / np.maximum(norm, 1.0)).astype(np.float16),
        strength=scale.astype(np.float32),
        size=size,
        scale_and_angle=np.stack([scale, angle], axis=1).astype(np.float32),
    )
