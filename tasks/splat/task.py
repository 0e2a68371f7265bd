from prefect import task

from storage.handles import ArrayHandle
from tasks.caching import log_notes, running_stage_key, stage_cache, stage_progress
from tasks.ingest.source import Source
from tasks.runtime.context import Site
from tasks.splat.config import EveryNth, SplatConfig, TrainOn


@task(
    name="splat",
    task_run_name="splat/{scene}",
    **stage_cache("splat", version=5, numbers_depend_on_device=True),
)
def fit_splat(
    scene: str,
    sparse: ArrayHandle,
    *,
    start: Source | None,
    split: EveryNth | TrainOn,
    config: SplatConfig,
    site: Site,
) -> ArrayHandle:
    """See :func:`tasks.splat.fit.fit`.

    Args:
        start: the file of a splat to start from, see :mod:`tasks.splat.init.from_ply`; None for
            points.
    """
    return _fitted("splat", "splat", scene, sparse, start, split, config, site)


@task(
    name="ensemble",
    task_run_name="siblings/{scene}",
    **stage_cache("ensemble", version=1, numbers_depend_on_device=True),
)
def fit_member(
    scene: str,
    sparse: ArrayHandle,
    *,
    start: Source | None,
    split: EveryNth | TrainOn,
    config: SplatConfig,
    site: Site,
) -> ArrayHandle:
    """As :func:`fit_splat`, of one config that :func:`tasks.splat.ensemble.siblings_of` gives."""
    return _fitted("ensemble", "ensemble", scene, sparse, start, split, config, site)


def _fitted(
    stage: str,
    kind: str,
    scene: str,
    sparse: ArrayHandle,
    start: Source | None,
    split: EveryNth | TrainOn,
    config: SplatConfig,
    site: Site,
) -> ArrayHandle:
    # Late: seconds to import, and a recalled stage needs none of it.
    from tasks.runtime.checkpoints import checkpoints_in
    from tasks.runtime.threads import limit_threads
    from tasks.sfm.artefact import Sparse
    from tasks.splat.artefact import arrays_of, attributes_of
    from tasks.splat.fit import fit, notes_on
    from tasks.splat.init.from_ply import read_start

    limit_threads(site.threads)
    stored = Sparse(sparse)
    with checkpoints_in(site.store, running_stage_key(), site.checkpoint_seconds) as checkpoints:
        splat = fit(
            stored.cameras,
            stored.observations,
            stored.photos,
            split,
            config,
            start=read_start(start, poses=sparse.attributes["poses"], sh_degree=config.sh_degree),
            masks=stored.masks,
            device=site.device,
            progress=stage_progress(stage),
            checkpoints=checkpoints,
        )
        log_notes(notes_on(splat, config))
        return site.store.commit(scene, kind, arrays_of(splat.fitted), attributes_of(splat))
