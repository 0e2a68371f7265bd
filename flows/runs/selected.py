"""The splat of a scene that people are shown and given."""

from collections.abc import Mapping

from storage.handles import ArrayHandle
from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.splat.artefact import read_gaussians


def selected_splat(artefacts: Mapping[str, ArrayHandle]) -> Gaussians:
    """The one that the guard chose, or the fitted one where nothing was distilled.

    Args:
        artefacts: of a scene that has finished the stage splat, by stage.

    Raises:
        InputError: an older version distilled it, when the control was no stage of its own.
    """
    stage = "splat"
    if distilled := artefacts.get("distil"):
        stage = "control" if distilled.attributes["selected"] == "control" else "distil"
    if stage not in artefacts:
        raise InputError(
            f"by {artefacts['distil'].uri} the splat fitted on without refined views is the better "
            "one, and the older version that wrote it kept that elsewhere; have it made anew by "
            "'unseen resume --scenes' and the scene's name"
        )
    return read_gaussians(artefacts[stage])
