"""Gain of a refiner on views with known photos."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.refiner import Refiner
from tasks.refine.training.crops import mean_squared_error
from tasks.refine.training.pairs.pair import Pair
from tasks.refine.training.trained import ValidationScore

LEAST_SQUARED_ERROR = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewScore:
    """PSNR of one view against its photo, dB."""

    scene: str
    render_db: float
    refined_db: float


def score_view(refiner: Refiner, pair: Pair, scene: str, device: torch.device) -> ViewScore:
    """PSNR of the render and of the refined view, over the pixels of the photo that count."""
    views = pair.views.to(device)

    def psnr_db(images: Float32[Tensor, "1 h w 3"]) -> float:
        squared = mean_squared_error(images[0].cpu().permute(2, 0, 1), pair)
        return -10 * math.log10(max(squared, LEAST_SQUARED_ERROR))

    return ViewScore(
        scene=scene, render_db=psnr_db(views.render), refined_db=psnr_db(refiner(views).image)
    )


def validation_scores(step: int, views: Sequence[ViewScore]) -> list[ValidationScore]:
    """Score of all scenes, then of each by name; none without views."""
    if not views:
        return []
    scenes = [
        _score(step, scene, [view for view in views if view.scene == scene])
        for scene in sorted({view.scene for view in views})
    ]
    joint = ValidationScore(
        step=step,
        scene="",
        views=len(views),
        gain_db=fmean(scene.gain_db for scene in scenes),
        share_worse=_share_worse(views),
    )
    return [joint, *scenes]


def _score(step: int, scene: str, views: Sequence[ViewScore]) -> ValidationScore:
    return ValidationScore(
        step=step,
        scene=scene,
        views=len(views),
        gain_db=fmean(view.refined_db - view.render_db for view in views),
        share_worse=_share_worse(views),
    )


def _share_worse(views: Sequence[ViewScore]) -> float:
    return fmean(view.refined_db < view.render_db for view in views)
