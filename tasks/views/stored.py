"""What looks at a stored splat."""

from storage.handles import ArrayHandle
from tasks.runtime.context import Device
from tasks.sfm.artefact import Sparse
from tasks.splat.artefact import read_gaussians
from tasks.views.renderer import ViewRenderer, prepare


def renderer_of(sparse: Sparse, splat: ArrayHandle, *, device: Device = "cpu") -> ViewRenderer:
    """A stored splat, ready to be looked at beside its training photos, at the size of its fit.

    Args:
        sparse: that the splat was fitted in.
    """
    training = sparse.cameras.indices_of(splat.attributes["training"])
    return prepare(
        read_gaussians(splat),
        sparse.cameras.select(training),
        (sparse.photos[index] for index in training),
        longest_edge=splat.attributes["longest_edge"],
        device=device,
        masks=(sparse.masks[index] for index in training),
    )
