"""Models of structure from motion with poses made by hand, and no points."""

import numpy as np
import pycolmap
from scipy.spatial.transform import Rotation

POSES = [
    pycolmap.Rigid3d(pycolmap.Rotation3d(turn.as_quat()), np.array([1.0, -2.0, 0.5]) * index)
    for index, turn in enumerate(Rotation.random(6, random_state=0))
]


def model_of(images: list[int], poses: list[pycolmap.Rigid3d]) -> pycolmap.Reconstruction:
    """One camera; ``poses[i]`` is of image ``i + 1``."""
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", 500.0, 640, 480)
    model.add_camera_with_trivial_rig(camera)
    for image in images:
        added = pycolmap.Image(name=f"{image}.png", camera_id=1, image_id=image)
        model.add_image_with_trivial_frame(added, poses[image - 1])
    return model
