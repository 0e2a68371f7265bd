"""Pieces of a split model, joined by the photos that they share.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

from collections.abc import Iterable

import pycolmap

from tasks.sfm.judged import agreement


def join_pieces(
    model: pycolmap.Reconstruction, pieces: Iterable[pycolmap.Reconstruction]
) -> frozenset[int]:
    """Add the photos of other models of the same scene, where the shared photos fix their place.

    Most of the shared photos must be placed alike by both, and at least three. The added photos
    have the piece's poses in the model's world and no points; their pairs tell afterwards what the
    poses are worth.

    Args:
        model: gets the photos; what it has stays.
        pieces: models that share cameras, by their ids, with it.

    Returns:
        Images added.
    """
    added: set[int] = set()
    for piece in pieces:
        missing = sorted(set(piece.reg_image_ids()) - set(model.reg_image_ids()))
        found = agreement(model, piece) if missing else None
        if found is None or 2 * found.right.sum() <= len(found.right):
            continue
        moved = pycolmap.Reconstruction(piece)
        to_model = found.reference_from_model
        turn = pycolmap.Rotation3d(to_model.rotation)
        moved.transform(pycolmap.Sim3d(to_model.scale, turn, to_model.translation))
        for image_id in missing:
            _add(model, moved.image(image_id), moved.camera(moved.image(image_id).camera_id))
        added.update(missing)
    return frozenset(added)


def _add(model: pycolmap.Reconstruction, image: pycolmap.Image, camera: pycolmap.Camera) -> None:
    pose = image.cam_from_world()
    if model.exists_image(image.image_id):  # taken out before
        frame_id = model.image(image.image_id).frame_id
        model.frame(frame_id).rig_from_world = pose
        model.register_frame(frame_id)
        return
    if not model.exists_camera(camera.camera_id):
        model.add_camera_with_trivial_rig(camera)
    added = pycolmap.Image(name=image.name, camera_id=image.camera_id, image_id=image.image_id)
    model.add_image_with_trivial_frame(added, pose)
