from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import stage_cache, stage_progress
from tasks.refine.training.pairs.config import PairsConfig
from tasks.runtime.context import Site


@task(
    name="pairs",
    task_run_name="pairs/{scene}",
    **stage_cache("pairs", version=1, numbers_depend_on_device=True),
)
def mine_pairs(scene: str, sparse: ArrayHandle, *, config: PairsConfig, site: Site) -> ArrayHandle:
    """See :mod:`tasks.refine.training.pairs.mine`."""
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.refine.training.pairs.artefact import PairsContent
    from tasks.refine.training.pairs.draw import seed_of
    from tasks.refine.training.pairs.mine import PosedPhotos, mine
    from tasks.runtime.threads import limit_threads
    from tasks.sfm.artefact import Sparse

    limit_threads(site.threads)
    stored = Sparse(sparse)
    posed = PosedPhotos(
        cameras=stored.cameras,
        observations=stored.observations,
        photos=stored.photos,
        masks=stored.masks,
    )
    mined = mine(
        posed,
        config,
        seed=seed_of(scene),
        device=site.device,
        progress=stage_progress("pairs"),
    )
    content = PairsContent(scene, mined)
    return site.store.commit(scene, "pairs", content, content.attributes)
