from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache, stage_progress
from tasks.runtime.context import Site
from tasks.sfm.config import SfmConfig


@task(name="sfm", task_run_name="sfm/{scene}", **stage_cache("sfm", version=2))
def reconstruct_cameras(
    scene: str, photos: ArrayHandle, *, config: SfmConfig, site: Site
) -> ArrayHandle:
    """See :func:`tasks.sfm.reconstruct.reconstruct`."""
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.ingest.artefact import Photos
    from tasks.sfm.artefact import arrays_of, attributes_of, poses_of, source_photos
    from tasks.sfm.reconstruct import reconstruct

    stored = Photos(photos)
    with TemporaryDirectory(prefix="unseen-sfm-") as folder:
        found = reconstruct(
            source_photos(stored),
            config,
            poses=poses_of(stored, config),
            work_folder=Path(folder),
            threads=site.threads,
            progress=stage_progress("sfm"),
        )
        return site.store.commit(scene, "sparse", arrays_of(found), attributes_of(found))
