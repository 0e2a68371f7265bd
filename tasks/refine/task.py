from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache, stage_progress
from tasks.ingest.source import Source
from tasks.refine.config import RefineConfig
from tasks.site import Site


@task(
    name="refine",
    task_run_name="refine/{scene}",
    **stage_cache("refine", version=4, numbers_depend_on_device=True),
)
def refine_views(
    scene: str,
    sparse: ArrayHandle,
    views: ArrayHandle,
    *,
    weights: Source | None,
    config: RefineConfig,
    site: Site,
) -> ArrayHandle:
    """See :mod:`tasks.refine.reproject` and :mod:`tasks.refine.residual.network`.

    Args:
        weights: of the refiner; None where it has learnt nothing.
    """
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.refine.artefact import RefinedContent
    from tasks.refine.select import refiner_for
    from tasks.sfm.artefact import Sparse
    from tasks.threads import limit_threads
    from tasks.views.artefact import NovelViews

    limit_threads(site.threads)
    stored, seen = Sparse(sparse), NovelViews(views)
    number_of = {name: index for index, name in enumerate(stored.cameras.names)}
    content = RefinedContent(
        (seen.view(index) for index in range(len(seen))),
        lambda name: stored.photos[number_of[name]],
        refiner_for(
            config,
            site.device,
            weights=weights,
            threads=site.threads,
            progress=stage_progress("refine"),
        ),
        count=len(seen),
        progress=stage_progress("refine"),
    )
    return site.store.commit(scene, "refined", content, content.attributes)
