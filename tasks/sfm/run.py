"""The sfm stage."""

from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.ingest.artefact import Photos
from tasks.runtime.context import Context
from tasks.sfm.artefact import arrays_of, attributes_of, poses_of, source_photos
from tasks.sfm.config import SfmConfig
from tasks.sfm.features.cache import cache_folder
from tasks.sfm.features.files import FeatureWeights
from tasks.sfm.reconstruct import reconstruct


def run(
    out: Writer,
    context: Context,
    *,
    photos: ArrayHandle,
    config: SfmConfig,
    weights: FeatureWeights | None = None,
    training: Collection[str] | None = None,
) -> ArrayHandle:
    """Find the cameras of ingested photos; see :func:`tasks.sfm.reconstruct.reconstruct`.

    Args:
        weights: of networks for features; None where the config needs none, or has a choice and
            none are installed.
        training: names of the photos that give cameras and points; None = all.

    Raises:
        InputError: as that function does; or poses are given, and ``training`` with them.
    """
    stored = Photos(photos)
    poses = poses_of(stored, config, own_poses=training is not None)
    with TemporaryDirectory(prefix="unseen-sfm-") as folder:
        found = reconstruct(
            source_photos(stored),
            config,
            poses=poses,
            training=training,
            weights=weights,
            cache=cache_folder(out.store, out.scene),
            video=stored.kind == "video",
            work_folder=Path(folder),
            context=context,
        )
        out.add_all(arrays_of(found))  # reads the undistorted photos from the folder
        return out.commit(attributes_of(found, own_poses=training is not None))
