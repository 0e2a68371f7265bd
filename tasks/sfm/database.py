"""The database of COLMAP that a child process works on: cameras and photos.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

from pathlib import Path

import pycolmap

from tasks.sfm.exchange import Request, SharedCamera


def write_photo_list(request: Request, path: Path) -> None:
    """Declare cameras and photos, so that photos of one camera share its intrinsics."""
    database = pycolmap.Database.open(str(path))
    for camera_id, camera in enumerate(request.cameras, start=1):
        declared = _declared(camera, camera_id, request.config.camera_model)
        database.write_camera(declared, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=camera_id)
        rig.add_ref_sensor(declared.sensor_id)
        database.write_rig(rig, use_rig_id=True)
    for image_id, camera_index in enumerate(request.camera_of_photo, start=1):
        image = pycolmap.Image(
            name=request.photo_name(image_id - 1), camera_id=camera_index + 1, image_id=image_id
        )
        database.write_image(image, use_image_id=True)
        frame = pycolmap.Frame(frame_id=image_id, rig_id=camera_index + 1)
        frame.add_data_id(image.data_id)
        database.write_frame(frame, use_frame_id=True)
    database.close()


def _declared(camera: SharedCamera, camera_id: int, estimated_model: str) -> pycolmap.Camera:
    if camera.camera_model is not None:
        declared = pycolmap.Camera(
            camera_id=camera_id,
            model=camera.camera_model.model,
            width=camera.width,
            height=camera.height,
            params=camera.camera_model.params,
        )
        declared.has_prior_focal_length = True
        return declared
    guess = 1.2 * max(camera.width, camera.height)  # COLMAP's, a field of view of about 45 deg
    declared = pycolmap.Camera.create_from_model_name(
        camera_id, estimated_model, camera.focal_px or guess, camera.width, camera.height
    )
    declared.has_prior_focal_length = camera.focal_px is not None
    return declared
