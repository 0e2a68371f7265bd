"""The refine stage: views refined one by one, or drawn jointly."""

from functools import partial

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.refine.artefact import write_refined
from tasks.refine.config import RefineConfig
from tasks.refine.diffusion.joint.splat_scene import splat_scene
from tasks.refine.ensemble import refine_with
from tasks.refine.refiner import batch_of
from tasks.refine.select import joint_refiners, refiner_for
from tasks.runtime.context import Context
from tasks.runtime.threads import limit_threads
from tasks.sfm.artefact import Sparse
from tasks.source import Source
from tasks.splat.artefact import read_gaussians
from tasks.splat.config import SplatConfig
from tasks.splat.training_photos import photos_of
from tasks.views.artefact import NovelViews
from tasks.views.config import ViewsConfig
from tasks.views.renderer import render_view, renderer_of

DRAWING = 0.95
"""Share of the time in which views are drawn jointly; then they are blended and stored."""


def run(
    out: Writer,
    context: Context,
    *,
    sparse: ArrayHandle,
    views: ArrayHandle,
    ensemble: tuple[ArrayHandle, ...],
    views_config: ViewsConfig,
    weights: Source | None,
    config: RefineConfig,
) -> ArrayHandle:
    """Refine each view on its own; see :func:`tasks.refine.ensemble.refine_with`.

    Args:
        ensemble: splats fitted to the same photos as the splat of the views; may be empty.
        views_config: how the ensemble's views are rendered.
        weights: of the refiner; None for one that is not trained.
    """
    limit_threads(context.threads)
    stored, novel = Sparse(sparse), NovelViews(views)
    refiner = refiner_for(config, weights=weights, context=context)
    renderers = [
        partial(render_view, renderer_of(stored, member, context=context), config=views_config)
        for member in ensemble
    ]
    refine = refine_with(refiner, stored.photo, renderers)
    refined = ((view.camera.names[0], refine(view)) for view in novel.views)
    return out.commit(write_refined(out, refined, count=len(novel), context=context))


def run_joint(
    out: Writer,
    context: Context,
    *,
    sparse: ArrayHandle,
    splat: ArrayHandle,
    views: ArrayHandle,
    splat_config: SplatConfig,
    weights: Source | None,
    config: RefineConfig,
) -> ArrayHandle:
    """Draw all views jointly; see :mod:`tasks.refine.diffusion.joint.sample`.

    A function of its own: views that are refined one by one depend neither on the splat nor on how
    it was fitted, and must not be computed again when those change.

    Args:
        splat_config: how the splat was fitted.
        weights: of the small model; None for a model of the hub.
    """
    limit_threads(context.threads)
    stored, novel = Sparse(sparse), NovelViews(views)
    scene = partial(
        splat_scene,
        read_gaussians(splat),
        photos_of(sparse, splat, "training"),
        novel.cameras,
        splat_config,
        context=context.nested(),
    )
    refiners = joint_refiners(
        config,
        (batch_of([view], [stored.photo(view.nearest)]) for view in novel.views),
        scene,
        weights=weights,
        context=context.part(0.0, DRAWING),
    )
    refined = (
        (view.camera.names[0], refine_with(refiner, stored.photo)(view))
        for view, refiner in zip(novel.views, refiners, strict=True)
    )
    storing = context.part(DRAWING, 1.0)
    return out.commit(write_refined(out, refined, count=len(novel), context=storing))
