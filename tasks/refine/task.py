from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache, stage_progress
from tasks.ingest.source import Source
from tasks.refine.config import RefineConfig
from tasks.runtime.context import Site
from tasks.splat.config import SplatConfig
from tasks.views.config import ViewsConfig

DRAWING = 0.95
"""Share of the time in which views are drawn together; then they are blended and kept."""


@task(
    name="refine",
    task_run_name="refine/{scene}",
    **stage_cache("refine", version=5, numbers_depend_on_device=True),
)
def refine_views(
    scene: str,
    sparse: ArrayHandle,
    views: ArrayHandle,
    *,
    ensemble: tuple[ArrayHandle, ...] = (),
    views_config: ViewsConfig,
    weights: Source | None,
    config: RefineConfig,
    site: Site,
) -> ArrayHandle:
    """See :func:`tasks.refine.ensemble.repair_of` and :mod:`tasks.refine.select`.

    Args:
        siblings: of the splat that the views are of.
        views_config: by which these are looked at.
        weights: of the refiner; None where it has learnt nothing.
    """
    # Late: seconds to import, and a recalled stage needs none of it.
    from functools import partial
    from itertools import repeat

    from tasks.lazy import Lazy
    from tasks.refine.artefact import RefinedContent
    from tasks.refine.ensemble import refine_with
    from tasks.refine.select import refiner_for
    from tasks.runtime.threads import limit_threads
    from tasks.sfm.artefact import Sparse
    from tasks.views.artefact import NovelViews
    from tasks.views.renderer import render_view
    from tasks.views.stored import renderer_of

    limit_threads(site.threads)
    stored, seen, progress = Sparse(sparse), NovelViews(views), stage_progress("refine")
    refiner = refiner_for(
        config, site.device, weights=weights, threads=site.threads, progress=progress
    )
    renderers = [
        partial(render_view, renderer_of(stored, member, device=site.device), config=views_config)
        for member in ensemble
    ]
    content = RefinedContent(
        Lazy(len(seen), seen.view),
        repeat(refine_with(refiner, stored.photo, renderers)),
        count=len(seen),
        progress=progress,
    )
    return site.store.commit(scene, "refined", content, content.attributes)


@task(
    name="refine",
    task_run_name="refine/{scene}",
    **stage_cache("refine.together", version=1, numbers_depend_on_device=True),
)
def refine_views_jointly(
    scene: str,
    sparse: ArrayHandle,
    splat: ArrayHandle,
    views: ArrayHandle,
    *,
    splat_config: SplatConfig,
    weights: Source | None,
    config: RefineConfig,
    site: Site,
) -> ArrayHandle:
    """The same stage where ``config`` draws views together.

    See :mod:`tasks.refine.diffusion.joint.sample`.

    A task of its own: what others make depends neither on the splat nor on how it was fitted.

    Args:
        splat_config: how the splat was fitted.
        weights: of the model; None where it has a name.
    """
    # Late: seconds to import, and a recalled stage needs none of it.
    from functools import partial

    from tasks.lazy import Lazy
    from tasks.refine.artefact import RefinedContent
    from tasks.refine.diffusion.joint.splat_scene import splat_scene
    from tasks.refine.ensemble import refine_with
    from tasks.refine.refiner import batch_of
    from tasks.refine.select import joint_refiners
    from tasks.runtime.threads import limit_threads
    from tasks.sfm.artefact import Sparse
    from tasks.splat.artefact import read_gaussians
    from tasks.splat.training_photos import sized_photos
    from tasks.views.artefact import NovelViews

    limit_threads(site.threads)
    stored, seen, progress = Sparse(sparse), NovelViews(views), stage_progress("refine")
    training = sized_photos(
        stored.cameras,
        stored.photos,
        stored.cameras.indices_of(splat.attributes["training"]),
        splat.attributes["longest_edge"],
        masks=stored.masks,
    )
    each = Lazy(len(seen), seen.view)
    refiners = joint_refiners(
        config,
        (batch_of([view], [stored.photo(view.nearest)]) for view in each),
        partial(
            splat_scene,
            read_gaussians(splat),
            training,
            seen.cameras,
            splat_config,
            device=site.device,
        ),
        site.device,
        weights=weights,
        threads=site.threads,
        progress=lambda share, doing: progress(DRAWING * share, doing),
    )
    content = RefinedContent(
        each,
        (refine_with(refiner, stored.photo) for refiner in refiners),
        count=len(seen),
        progress=lambda share, doing: progress(DRAWING + (1 - DRAWING) * share, doing),
    )
    return site.store.commit(scene, "refined", content, content.attributes)
