"""The splat stage; the ensemble's members run it, too, each with a config of its own."""

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.images import fitted_sizes
from tasks.runtime.context import Context
from tasks.runtime.threads import limit_threads
from tasks.source import Source
from tasks.splat.artefact import arrays_of, attributes_of
from tasks.splat.config import EveryNth, SplatConfig, TrainOn
from tasks.splat.fit import fit, notes_on
from tasks.splat.init.from_ply import read_start
from tasks.splat.split import check_photos
from tasks.splat.training_photos import posed_photos
from tasks.splat.visible import check_visible


def run(
    out: Writer,
    context: Context,
    *,
    sparse: ArrayHandle,
    start: Source | None,
    split: EveryNth | TrainOn,
    config: SplatConfig,
) -> ArrayHandle:
    """Fit a splat to a reconstruction; see :func:`tasks.splat.fit.fit`.

    The attribute ``notes`` lists sentences about the result that a user should read.

    Args:
        start: PLY file of the splat that the fit starts from, see
            :mod:`tasks.splat.init.from_ply`; None starts from triangulated points.
    """
    limit_threads(context.threads)
    known = sparse.attributes
    check_photos(split, (*known["names"], *known["unregistered"]))
    posed = posed_photos(sparse)
    splat = fit(
        posed,
        split,
        config,
        start=read_start(start, poses=sparse.attributes["poses"], config=config),
        context=context,
    )
    cameras = posed.cameras.select(posed.cameras.indices_of(splat.training))
    cameras = cameras.resized(fitted_sizes(cameras.sizes, splat.longest_edge))
    check_visible(splat.fitted.gaussians, cameras, device=context.device)
    out.add_all(arrays_of(splat.fitted))
    return out.commit({**attributes_of(splat), "notes": list(notes_on(splat, config))})
