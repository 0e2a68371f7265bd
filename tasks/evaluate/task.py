from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache, stage_progress
from tasks.ingest.source import Source
from tasks.refine.config import RefineConfig
from tasks.runtime.context import Site
from tasks.views.config import ViewsConfig


@task(
    name="evaluate",
    task_run_name="evaluate/{scene}",
    **stage_cache("evaluate", version=5, numbers_depend_on_device=True),
)
def evaluate_scene(
    scene: str,
    photos: ArrayHandle,
    sparse: ArrayHandle,
    splat: ArrayHandle,
    control: ArrayHandle | None = None,
    distilled: ArrayHandle | None = None,
    *,
    ensemble: tuple[ArrayHandle, ...],
    views: ViewsConfig | None,
    refine: RefineConfig | None,
    weights: Source | None,
    site: Site,
) -> ArrayHandle:
    """See :mod:`tasks.evaluate.artefact`.

    Args:
        control, distilled: absent where these stages did not run.
        siblings: of the splat; may be none.
        views: absent where that stage is off; its confidence is then not scored.
        refine: absent where that stage is off.
        weights: of its refiner; None where it has learnt nothing.
    """
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.evaluate.artefact import EvaluationContent
    from tasks.evaluate.held_out import held_out_refiner
    from tasks.ingest.artefact import Photos
    from tasks.runtime.threads import limit_threads
    from tasks.sfm.artefact import Sparse
    from tasks.splat.artefact import read_gaussians
    from tasks.views.stored import renderer_of

    limit_threads(site.threads)
    stored = Sparse(sparse)
    splats = {"splat": read_gaussians(splat)}
    for stage, fitted_on in (("control", control), ("distil", distilled)):
        if fitted_on is not None:
            splats[stage] = read_gaussians(fitted_on)
    refine_view, others = None, []
    if views is not None:
        renderer, *others = (
            renderer_of(stored, one, device=site.device) for one in (splat, *ensemble)
        )
        refine_view = held_out_refiner(
            renderer,
            stored.photo,
            views,
            refine,
            ensemble=others,
            weights=weights,
            device=site.device,
            threads=site.threads,
        )
    content = EvaluationContent(
        Photos(photos),
        stored,
        splats,
        ensemble=[member.gaussians for member in others],
        training=splat.attributes["training"],
        held_out=splat.attributes["held_out"],
        not_fitted=splat.attributes["not_fitted"],
        longest_edge=splat.attributes["longest_edge"],
        refine=refine_view,
        device=site.device,
        progress=stage_progress("evaluate"),
    )
    return site.store.commit(scene, "evaluation", content, content.attributes)
