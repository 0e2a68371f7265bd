"""Renderers of stored splats."""

from storage.handles import ArrayHandle
from tasks.runtime.context import Context
from tasks.sfm.artefact import Sparse
from tasks.splat.artefact import read_gaussians
from tasks.views.renderer import ViewRenderer, prepare


def renderer_of(
    sparse: Sparse, splat: ArrayHandle, *, context: Context = Context()
) -> ViewRenderer:
    """The renderer of a stored splat, with its training photos at the size of its fit.

    Args:
        sparse: the reconstruction that the splat was fitted to.
    """
    training = sparse.cameras.indices_of(splat.attributes["training"])
    return prepare(
        read_gaussians(splat),
        sparse.cameras.select(training),
        (sparse.photos[index] for index in training),
        longest_edge=splat.attributes["longest_edge"],
        masks=(sparse.masks[index] for index in training),
        context=context,
    )
