from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import running_stage_key, stage_cache, stage_progress
from tasks.distil.config import DistilConfig
from tasks.site import Site
from tasks.splat.config import SplatConfig


@task(
    name="distil",
    task_run_name="distil/{scene}",
    **stage_cache("distil", version=3, numbers_depend_on_device=True),
)
def distil_views(
    scene: str,
    sparse: ArrayHandle,
    splat: ArrayHandle,
    views: ArrayHandle,
    refined: ArrayHandle,
    *,
    splat_config: SplatConfig,
    config: DistilConfig,
    site: Site,
) -> ArrayHandle:
    """See :func:`tasks.distil.distil.distil`."""
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.distil.artefact import arrays_of, attributes_of
    from tasks.distil.distil import RefinedTarget, distil
    from tasks.refine.artefact import RefinedViews
    from tasks.sfm.artefact import Sparse
    from tasks.splat.artefact import read_gaussians
    from tasks.splat.checkpoints import DescentState, checkpoints_of
    from tasks.splat.sized_photos import sized_photos
    from tasks.threads import limit_threads
    from tasks.views.artefact import NovelViews

    limit_threads(site.threads)
    stored, names = Sparse(sparse), splat.attributes
    training, guard = (
        sized_photos(
            stored.cameras,
            stored.photos,
            stored.cameras.indices_of(names[side]),
            names["longest_edge"],
            masks=stored.masks,
        )
        for side in ("training", "guard")
    )
    cameras, made = NovelViews(views).cameras, RefinedViews(refined)
    with checkpoints_of(site, running_stage_key(), DescentState) as checkpoints:
        found = distil(
            read_gaussians(splat),
            training,
            guard,
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
            device=site.device,
            progress=stage_progress("distil"),
            checkpoints=checkpoints,
        )
        attributes = attributes_of(found, refined_views=len(cameras), guard=names["guard"])
        return site.store.commit(scene, "distilled", arrays_of(found), attributes)
