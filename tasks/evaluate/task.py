from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache, stage_progress
from tasks.ingest.source import Source
from tasks.refine.config import RefineConfig
from tasks.site import Site
from tasks.views.config import ViewsConfig


@task(
    name="evaluate",
    task_run_name="evaluate/{scene}",
    **stage_cache("evaluate", version=4, numbers_depend_on_device=True),
)
def evaluate_scene(
    scene: str,
    photos: ArrayHandle,
    sparse: ArrayHandle,
    splat: ArrayHandle,
    control: ArrayHandle | None = None,
    distilled: ArrayHandle | None = None,
    *,
    views: ViewsConfig | None,
    refine: RefineConfig | None,
    weights: Source | None,
    site: Site,
) -> ArrayHandle:
    """See :mod:`tasks.evaluate.artefact`.

    Args:
        control, distilled: absent where these stages did not run.
        views: absent where that stage is off; its confidence is then not scored.
        refine: absent where that stage is off.
        weights: of its refiner; None where it has learnt nothing.
    """
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.evaluate.artefact import EvaluationContent
    from tasks.evaluate.repair import repair_with
    from tasks.ingest.artefact import Photos
    from tasks.sfm.artefact import Sparse
    from tasks.splat.artefact import read_gaussians
    from tasks.threads import limit_threads

    limit_threads(site.threads)
    stored = Sparse(sparse)
    gaussians = read_gaussians(splat)
    splats = {"splat": gaussians}
    for stage, fitted_on in (("control", control), ("distil", distilled)):
        if fitted_on is not None:
            splats[stage] = read_gaussians(fitted_on)
    training = splat.attributes["training"]
    longest_edge = splat.attributes["longest_edge"]
    repair = None
    if views is not None:
        indices = stored.cameras.indices_of(training)
        repair = repair_with(
            gaussians,
            stored.cameras.select(indices),
            [stored.photos[index] for index in indices],
            views,
            refine,
            weights=weights,
            longest_edge=longest_edge,
            masks=[stored.masks[index] for index in indices],
            device=site.device,
            threads=site.threads,
        )
    content = EvaluationContent(
        Photos(photos),
        stored,
        splats,
        training=training,
        held_out=splat.attributes["held_out"],
        not_fitted=splat.attributes["not_fitted"],
        longest_edge=longest_edge,
        repair=repair,
        device=site.device,
        progress=stage_progress("evaluate"),
    )
    return site.store.commit(scene, "evaluation", content, content.attributes)
