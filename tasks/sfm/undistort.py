"""Photos and pixels without lens distortion.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

import numpy as np
import pycolmap


def undistort(
    bitmap: pycolmap.Bitmap, camera: pycolmap.Camera
) -> tuple[pycolmap.Bitmap, pycolmap.Camera]:
    """The photo of a pinhole camera, and that camera; a photo without distortion stays as it is."""
    if camera.is_undistorted():
        return bitmap, camera
    options = pycolmap.UndistortCameraOptions()
    options.blank_pixels = 0.0  # crop: a splat would learn black borders
    return pycolmap.undistort_image(options, bitmap, camera)


def undistorted_pixels(
    xy: np.ndarray, camera: pycolmap.Camera, pinhole: pycolmap.Camera
) -> np.ndarray:
    """Pixels of a distorted photo as pixels of its undistorted one, float32 [n 2]."""
    rays = camera.cam_from_img(xy)
    return np.asarray(pinhole.img_from_cam(np.c_[rays, np.ones(len(rays))]), dtype=np.float32)
