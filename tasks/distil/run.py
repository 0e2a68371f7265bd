"""The control and distil stages: a fit continued on photos alone, and with refined views."""

from collections.abc import Mapping

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.distil.artefact import attributes_of
from tasks.distil.choose import choose
from tasks.distil.config import ControlConfig, DistilConfig
from tasks.distil.distil import RefinedTarget, continue_fit, distil
from tasks.refine.artefact import RefinedViews
from tasks.runtime.context import Context
from tasks.runtime.threads import limit_threads
from tasks.splat.artefact import arrays_of, near_depths_of, read_gaussians
from tasks.splat.config import SplatConfig
from tasks.splat.training_photos import photos_of
from tasks.splat.visible import check_visible
from tasks.views.artefact import NovelViews


def run_control(
    out: Writer,
    context: Context,
    *,
    sparse: ArrayHandle,
    splat: ArrayHandle,
    splat_config: SplatConfig,
    config: ControlConfig,
) -> ArrayHandle:
    """Continue a fit on its photos alone; see :func:`tasks.distil.distil.continue_fit`.

    Args:
        splat_config: how the splat was fitted.
    """
    limit_threads(context.threads)
    training = photos_of(sparse, splat, "training")
    fitted = continue_fit(
        read_gaussians(splat),
        training,
        splat_config,
        config,
        near_depths=near_depths_of(splat),
        context=context,
    )
    check_visible(fitted.gaussians, training.cameras, device=context.device)
    out.add_all(arrays_of(fitted))
    return out.commit(
        {
            "num_background": fitted.gaussians.num_background,
            "gaussians": len(fitted.gaussians),
        }
    )


def run(
    out: Writer,
    context: Context,
    *,
    sparse: ArrayHandle,
    splats: Mapping[str, ArrayHandle],
    views: ArrayHandle,
    refined: ArrayHandle,
    splat_config: SplatConfig,
    config: DistilConfig,
) -> ArrayHandle:
    """Distil refined views into a splat, and choose between the result and the control.

    See :func:`tasks.distil.distil.distil` and :func:`tasks.distil.choose.choose`.

    Args:
        splats: by stage: ``splat``, which the fit continues, and ``control``.
        splat_config: how the splat was fitted.
    """
    limit_threads(context.threads)
    splat, cameras, images = splats["splat"], NovelViews(views).cameras, RefinedViews(refined)
    targets = [
        RefinedTarget(
            camera=cameras.select([index]), image=images.image(index), weight=images.weight(index)
        )
        for index in range(len(cameras))
    ]
    training = photos_of(sparse, splat, "training")
    fitted = distil(
        read_gaussians(splat),
        training,
        targets,
        splat_config,
        config,
        near_depths=near_depths_of(splat),
        context=context,
    )
    check_visible(fitted.gaussians, training.cameras, device=context.device)
    validation = photos_of(sparse, splat, "validation")
    control = read_gaussians(splats["control"])
    choice = choose(
        control,
        fitted.gaussians,
        validation,
        training_photos=len(training.photos),
        context=context,
    )
    out.add_all(arrays_of(fitted))
    return out.commit(
        attributes_of(
            fitted, choice, refined_views=len(cameras), validation=validation.cameras.names
        )
    )
