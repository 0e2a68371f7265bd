"""A splat fitted on, in two stages: with photos alone, and with refined views beside them."""

from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import running_stage_key, stage_cache, stage_progress
from tasks.distil.config import ControlConfig, DistilConfig
from tasks.runtime.context import Site
from tasks.splat.config import SplatConfig

# Imports of the stages are late: they take seconds, and a recalled stage needs none of it.


@task(
    name="control",
    task_run_name="control/{scene}",
    **stage_cache("control", version=2, numbers_depend_on_device=True),
)
def fit_control(
    scene: str,
    sparse: ArrayHandle,
    splat: ArrayHandle,
    *,
    splat_config: SplatConfig,
    config: ControlConfig,
    site: Site,
) -> ArrayHandle:
    """See :func:`tasks.distil.distil.fit_on`."""
    from tasks.distil.distil import continue_fit
    from tasks.distil.photos import photos_of
    from tasks.runtime.checkpoints import checkpoints_in
    from tasks.runtime.threads import limit_threads
    from tasks.splat.artefact import arrays_of, near_depths_of, read_gaussians

    limit_threads(site.threads)
    with checkpoints_in(site.store, running_stage_key(), site.checkpoint_seconds) as checkpoints:
        fitted = continue_fit(
            read_gaussians(splat),
            photos_of(sparse, splat, "training"),
            splat_config,
            config,
            near_depths=near_depths_of(splat),
            device=site.device,
            progress=stage_progress("control"),
            checkpoints=checkpoints,
        )
        attributes = {
            "num_background": fitted.gaussians.num_background,
            "gaussians": len(fitted.gaussians),
        }
        return site.store.commit(scene, "control", arrays_of(fitted), attributes)


@task(
    name="distil",
    task_run_name="distil/{scene}",
    **stage_cache("distil", version=5, numbers_depend_on_device=True),
)
def distil_views(
    scene: str,
    sparse: ArrayHandle,
    splat: ArrayHandle,
    views: ArrayHandle,
    refined: ArrayHandle,
    control: ArrayHandle,
    *,
    splat_config: SplatConfig,
    config: DistilConfig,
    site: Site,
) -> ArrayHandle:
    """See :func:`tasks.distil.distil.distil`, and :func:`tasks.distil.distil.choose`."""
    from tasks.distil.artefact import attributes_of
    from tasks.distil.distil import RefinedTarget, choose, distil
    from tasks.distil.photos import photos_of
    from tasks.refine.artefact import RefinedViews
    from tasks.runtime.checkpoints import checkpoints_in
    from tasks.runtime.threads import limit_threads
    from tasks.splat.artefact import arrays_of, near_depths_of, read_gaussians
    from tasks.views.artefact import NovelViews

    limit_threads(site.threads)
    cameras, made = NovelViews(views).cameras, RefinedViews(refined)
    with checkpoints_in(site.store, running_stage_key(), site.checkpoint_seconds) as checkpoints:
        fitted = distil(
            read_gaussians(splat),
            photos_of(sparse, splat, "training"),
            [
                RefinedTarget(
                    camera=cameras.select([index]),
                    image=made.image(index),
                    weight=made.weight(index),
                )
                for index in range(len(cameras))
            ],
            splat_config,
            config,
            near_depths=near_depths_of(splat),
            device=site.device,
            progress=stage_progress("distil"),
            checkpoints=checkpoints,
        )
        validation = photos_of(sparse, splat, "validation")
        choice = choose(read_gaussians(control), fitted.gaussians, validation, device=site.device)
        attributes = attributes_of(
            fitted, choice, refined_views=len(cameras), validation=validation.cameras.names
        )
        return site.store.commit(scene, "distilled", arrays_of(fitted), attributes)
