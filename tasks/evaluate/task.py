from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache, stage_progress
from tasks.evaluate.artefact import EvaluationContent
from tasks.ingest.artefact import Photos
from tasks.sfm.artefact import Sparse
from tasks.site import Site
from tasks.splat.artefact import read_gaussians
from tasks.threads import limit_threads


@task(
    name="evaluate",
    task_run_name="evaluate/{scene}",
    **stage_cache("evaluate", version=1, numbers_depend_on_device=True),
)
def evaluate_splat(
    scene: str, photos: ArrayHandle, sparse: ArrayHandle, splat: ArrayHandle, *, site: Site
) -> ArrayHandle:
    """See :mod:`tasks.evaluate.artefact`."""
    limit_threads(site.threads)
    content = EvaluationContent(
        Photos(photos),
        Sparse(sparse),
        read_gaussians(splat),
        held_out=tuple(splat.attributes["held_out"]),
        longest_edge=splat.attributes["longest_edge"],
        device=site.device,
        progress=stage_progress("evaluate"),
    )
    return site.store.commit(scene, "evaluation", content, content.attributes)
