"""The views stage."""

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.runtime.context import Context
from tasks.runtime.threads import limit_threads
from tasks.sfm.artefact import Sparse
from tasks.views.artefact import write_views
from tasks.views.config import ViewsConfig
from tasks.views.novel_views import novel_views
from tasks.views.renderer import renderer_of


def run(
    out: Writer,
    context: Context,
    *,
    sparse: ArrayHandle,
    splat: ArrayHandle,
    config: ViewsConfig,
) -> ArrayHandle:
    """Render novel views of a splat; see :func:`tasks.views.novel_views.novel_views`."""
    limit_threads(context.threads)
    renderer = renderer_of(Sparse(sparse), splat, context=context)
    return out.commit(write_views(out, novel_views(renderer, config, context=context)))
