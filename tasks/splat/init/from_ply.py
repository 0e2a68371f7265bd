"""Initial splat from a PLY file, in place of points triangulated from photos."""

from pathlib import Path

import torch

from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.sfm.reconstruct import Poses
from tasks.source import Source
from tasks.splat.config import SplatConfig
from tasks.splat.densify.budget import most_gaussians
from tasks.splat.export.ply import read_ply


def read_start(source: Source | None, *, poses: Poses, config: SplatConfig) -> Gaussians | None:
    """Initial splat of a fit, its harmonics cut or padded with 0 to the config's degree; None for
    points.

    Args:
        poses: origin of the cameras. Estimated ones are in a frame of their own.

    Raises:
        InputError: the cameras were estimated, the file is no splat, or it holds more Gaussians
            than the fit may.
    """
    if source is None:
        return None
    if poses == "estimated":
        raise InputError(
            f"the cameras of this scene were estimated, so '{source.folder}' lies in another frame "
            "than theirs and cannot be what its fit starts from; give the cameras of that splat (a "
            "COLMAP model, transforms.json, or cameras_gt.json with sfm.poses 'given')"
        )
    splat = read_ply(Path(source.folder), most_gaussians(config))
    return with_degree(splat, config.sh_degree)


def with_degree(gaussians: Gaussians, sh_degree: int) -> Gaussians:
    """The same Gaussians with harmonics of another degree: higher ones are cut, or 0."""
    count = (sh_degree + 1) ** 2
    sh = torch.zeros(len(gaussians), count, 3)
    sh[:, : gaussians.sh.shape[1]] = gaussians.sh[:, :count]
    return Gaussians(
        means=gaussians.means,
        quats=gaussians.quats,
        log_scales=gaussians.log_scales,
        logit_opacities=gaussians.logit_opacities,
        sh=sh,
    )
