"""Layout of a splat in the store, and its readers.

Arrays, for each Gaussian: ``means`` [n 3], ``quats`` [n 4], ``log_scales`` [n 3],
``logit_opacities`` [n] and ``sh`` [n k 3] (float32); the training curve ``curve_iteration``,
``curve_loss``, ``curve_gaussians`` and ``curve_held_out_psnr_db`` (NaN where not scored); and where
they were fitted, terms of the training photos: ``photo_colours`` [t 3 4], ``photo_moves`` [t 6].
The attributes name the training, validation and held-out photos.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from storage.handles import ArrayHandle
from storage.store import NamedArray
from tasks.gaussians import TENSORS, Gaussians
from tasks.splat.fit import Splat
from tasks.splat.train.pose_corrections import sizes_of
from tasks.splat.train.trainer import Fitted


def arrays_of(fitted: Fitted) -> Iterator[NamedArray]:
    """Parameters of the Gaussians, and the training curve, with NaN for scores that were not taken.

    Terms of the training photos, where they were fitted: ``photo_colours`` and ``photo_moves``, the
    deltas of their poses.
    """
    gaussians, curve, per_photo = fitted.gaussians, fitted.curve, fitted.per_photo
    for name, values, dims in (
        ("means", gaussians.means.numpy(), ("gaussian", "xyz")),
        ("quats", gaussians.quats.numpy(), ("gaussian", "wxyz")),
        ("log_scales", gaussians.log_scales.numpy(), ("gaussian", "axis")),
        ("logit_opacities", gaussians.logit_opacities.numpy(), ("gaussian",)),
        ("sh", gaussians.sh.numpy(), ("gaussian", "harmonic", "channel")),
        ("curve_iteration", curve.iteration, ("curve_point",)),
        ("curve_loss", curve.loss, ("curve_point",)),
        ("curve_gaussians", curve.gaussians, ("curve_point",)),
        ("curve_held_out_psnr_db", curve.score, ("curve_point",)),
    ):
        yield NamedArray(
            name=name, values=values, dims=dims, may_be_nan=name == "curve_held_out_psnr_db"
        )
    if per_photo.colours is not None:
        dims = ("training_photo", "channel", "rgb1")
        yield NamedArray(name="photo_colours", values=per_photo.colours, dims=dims)
    if per_photo.pose_deltas is not None:
        dims = ("training_photo", "rotation_shift")
        yield NamedArray(name="photo_moves", values=per_photo.pose_deltas, dims=dims)


def attributes_of(splat: Splat) -> dict[str, Any]:
    """Attributes beside the arrays, JSON-able."""
    pose_deltas = splat.fitted.per_photo.pose_deltas
    return {
        "gaussians": len(splat.fitted.gaussians),
        "training": list(splat.training),
        "validation": list(splat.validation),
        "held_out": list(splat.held_out),
        "not_fitted": list(splat.not_fitted),
        "longest_edge": splat.longest_edge,
        "num_background": splat.fitted.gaussians.num_background,
        "initial_points": splat.initial_points,
        "begins": None if splat.near_depths is None else splat.near_depths.tolist(),
        "at_limit": splat.fitted.at_limit,
        "pose_corrections": None if pose_deltas is None else asdict(sizes_of(pose_deltas)),
    }


def read_gaussians(stored: ArrayHandle) -> Gaussians:
    """The Gaussians of a stored splat."""
    tensors = {name: torch.from_numpy(stored.array(name)) for name in TENSORS}
    return Gaussians(**tensors, num_background=stored.attributes["num_background"])


def near_depths_of(stored: ArrayHandle) -> Float64[np.ndarray, " t"] | None:
    """Near depth of the scene in each training photo, world units; None where it is unknown."""
    near_depths = stored.attributes["begins"]
    return None if near_depths is None else np.array(near_depths, dtype=np.float64)
