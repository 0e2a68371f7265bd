"""The evaluate stage."""

from collections.abc import Mapping

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.evaluate.artefact import write_evaluation
from tasks.evaluate.config import HeldOutRefinement
from tasks.evaluate.held_out import held_out_refiner
from tasks.evaluate.poses import read_evidence
from tasks.evaluate.score import FittedSplats, score_against_reference, score_views
from tasks.ingest.artefact import Photos
from tasks.metrics.perceptual.files import INSTALL, PerceptualWeights
from tasks.metrics.perceptual.load import perceptual_distances
from tasks.runtime.context import Context
from tasks.runtime.threads import limit_threads
from tasks.sfm.artefact import Sparse
from tasks.splat.artefact import read_gaussians
from tasks.views.renderer import renderer_of


def run(
    out: Writer,
    context: Context,
    *,
    photos: ArrayHandle,
    sparse: ArrayHandle,
    splats: Mapping[str, ArrayHandle],
    ensemble: tuple[ArrayHandle, ...],
    refinement: HeldOutRefinement | None,
    perceptual: PerceptualWeights | None,
) -> ArrayHandle:
    """Score splats on photos, and cameras and depth against reference data where there are any.

    Args:
        photos: as ingested, with the reference cameras and depth maps.
        splats: by the stage that made them; ``splat``, and the others that ran.
        ensemble: splats fitted to the same photos as ``splat``; may be empty.
        refinement: None where the views stage is off: no refinement, no confidence is scored.
        perceptual: the weights that are here; None asks for no perceptual figure.
    """
    limit_threads(context.threads)
    stored, splat = Sparse(sparse), splats["splat"]
    refine, members = None, []
    if refinement is not None:
        renderer, *others = (
            renderer_of(stored, one, context=context) for one in (splat, *ensemble)
        )
        refine = held_out_refiner(
            renderer, stored.photo, refinement, ensemble=others, context=context
        )
        members = [other.gaussians for other in others]
    fitted = FittedSplats(
        stages={stage: read_gaussians(handle) for stage, handle in splats.items()},
        ensemble=members,
        training=frozenset(splat.attributes["training"]),
        held_out=frozenset(splat.attributes["held_out"]),
        not_fitted=frozenset(splat.attributes["not_fitted"]),
        longest_edge=splat.attributes["longest_edge"],
    )
    distances = perceptual_distances(perceptual, device=context.device)
    views = score_views(stored, fitted, refine=refine, perceptual=distances, context=context)
    attributes = write_evaluation(out, views)
    if perceptual is not None and perceptual.st_lpips is None:
        attributes["notes"] = [f"ST-LPIPS is left out, its weights are not installed: {INSTALL}"]
    attributes |= score_against_reference(
        Photos(photos), stored, fitted, evidence=read_evidence(sparse), context=context
    )
    context.progress(1.0, f"scored {len(stored.cameras)} views")
    return out.commit(attributes)
