"""How much better a refiner makes views whose photos are known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.batch import Refiner
from tasks.refine.config import Reproject
from tasks.refine.pairs.pair import Pair
from tasks.refine.reproject import reproject
from tasks.refine.training.crops import mean_squared_error

LEAST_SQUARED_ERROR = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewScore:
    """PSNR of one view against the photo taken there, dB."""

    scene: str
    render_db: float
    reproject_db: float
    refined_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """Of the averaged weights, over views kept for validation."""

    scene: str
    """Empty for all scenes together: means over scenes, but a share of all views."""
    views: int
    over_render_db: float
    over_reproject_db: float
    share_worse: float
    """Of the views whose PSNR is below the render's."""


def score_view(
    refiner: Refiner, pair: Pair, scene: str, device: torch.device, *, arm: Reproject
) -> ViewScore:
    """PSNR over the pixels of the photo that count."""
    views = pair.views.to(device)

    def psnr_db(images: Float32[Tensor, "1 h w 3"]) -> float:
        squared = mean_squared_error(images[0].cpu().permute(2, 0, 1), pair)
        return -10 * math.log10(max(squared, LEAST_SQUARED_ERROR))

    return ViewScore(
        scene=scene,
        render_db=psnr_db(views.render),
        reproject_db=psnr_db(reproject(views, arm).image),
        refined_db=psnr_db(refiner(views).image),
    )


def gains(scores: Sequence[ViewScore], scene: str) -> Gains:
    """Mean gains, each scene counting alike, however many views it has."""
    scenes = {score.scene for score in scores}

    def mean(of: Sequence[tuple[str, float]]) -> float:
        return fmean(fmean(value for name, value in of if name == one) for one in scenes)

    return Gains(
        scene=scene,
        views=len(scores),
        over_render_db=mean([(one.scene, one.refined_db - one.render_db) for one in scores]),
        over_reproject_db=mean([(one.scene, one.refined_db - one.reproject_db) for one in scores]),
        share_worse=fmean(one.refined_db < one.render_db for one in scores),
    )
