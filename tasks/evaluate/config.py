"""What changes the evaluation of a scene."""

from dataclasses import dataclass

from tasks.refine.config import RefineConfig
from tasks.source import Source
from tasks.views.config import ViewsConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutRefinement:
    """How the views stage and the refine stage are applied to the poses of held-out photos."""

    views: ViewsConfig
    refine: RefineConfig | None
    """None where the refine stage is off: confidence is scored, and no refined picture."""
    weights: Source | None
    """Of the refiner; None for one that is not trained."""
