from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache, stage_progress
from tasks.runtime.context import Site
from tasks.views.config import ViewsConfig


@task(
    name="views",
    task_run_name="views/{scene}",
    **stage_cache("views", version=2, numbers_depend_on_device=True),
)
def render_views(
    scene: str, sparse: ArrayHandle, splat: ArrayHandle, *, config: ViewsConfig, site: Site
) -> ArrayHandle:
    """See :mod:`tasks.views.novel_views`."""
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.runtime.threads import limit_threads
    from tasks.sfm.artefact import Sparse
    from tasks.views.artefact import NovelViewsContent
    from tasks.views.stored import renderer_of

    limit_threads(site.threads)
    renderer = renderer_of(Sparse(sparse), splat, device=site.device)
    content = NovelViewsContent(renderer, config, stage_progress("views"))
    return site.store.commit(scene, "views", content, content.attributes)
