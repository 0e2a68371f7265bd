"""What changes the evaluation of a scene."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from tasks.config import Config
from tasks.refine.config import RefineConfig
from tasks.source import Source
from tasks.views.config import ViewsConfig


class EvaluateConfig(Config):
    """What held-out photos are scored by beside PSNR, SSIM and edge energy."""

    perceptual: Literal["alex", "vgg", "none"] = Field(
        default="alex",
        description="Network of the perceptual figures: ST-LPIPS where 'stlpips-pytorch' is "
        "installed, LPIPS where its weights are. A picture of 480x320 px takes half a second of a "
        "core by 'alex' (AlexNet), 2 to 3 s by 'vgg' (VGG-16); their figures are not comparable.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutRefinement:
    """How the views stage and the refine stage are applied to the poses of held-out photos."""

    views: ViewsConfig
    refine: RefineConfig | None
    """None where the refine stage is off: confidence is scored, and no refined picture."""
    weights: Source | None
    """Of the refiner; None for one that is not trained."""
