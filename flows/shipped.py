"""The splat of a scene that people are shown and given."""

from collections.abc import Mapping

from storage.handles import ArrayHandle
from tasks.distil.artefact import read_gaussians as read_distilled
from tasks.gaussians import Gaussians
from tasks.splat.artefact import read_gaussians


def shipped_splat(artefacts: Mapping[str, ArrayHandle]) -> Gaussians:
    """The one that the guard chose, or the fitted one where nothing was distilled.

    Args:
        artefacts: of a scene that has finished the stage splat, by stage.
    """
    if "distil" in artefacts:
        return read_distilled(artefacts["distil"], "shipped")
    return read_gaussians(artefacts["splat"])
