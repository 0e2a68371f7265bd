"""Which refiner a config asks for."""

from functools import partial

import torch

from tasks.refine.batch import Refinement, Refiner, ViewBatch
from tasks.refine.config import RefineConfig, Reproject
from tasks.refine.reproject import reproject
from tasks.site import Device


def refiner_for(config: RefineConfig, device: Device = "cpu") -> Refiner:
    """The refiner of ``config``, ready to run on ``device``."""
    return partial(_reproject_on, torch.device(device), config.refiner)


def _reproject_on(device: torch.device, config: Reproject, views: ViewBatch) -> Refinement:
    return reproject(views.to(device), config)
