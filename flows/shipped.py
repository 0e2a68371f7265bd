"""The splat of a scene that people are shown and given."""

from collections.abc import Mapping

from storage.handles import ArrayHandle
from tasks.gaussians import Gaussians
from tasks.splat.artefact import read_gaussians


def shipped_splat(artefacts: Mapping[str, ArrayHandle]) -> Gaussians:
    """The one that the guard chose, or the fitted one where nothing was distilled.

    Args:
        artefacts: of a scene that has finished the stage splat, by stage.
    """
    stage = "splat"
    if distilled := artefacts.get("distil"):
        stage = "control" if distilled.attributes["shipped"] == "control" else "distil"
    return read_gaussians(artefacts[stage])
