"""How a splat lies in the store, and how later stages read it."""

from collections.abc import Iterator
from typing import Any

import torch

from storage.arrays import NamedArray
from storage.handles import ArrayHandle
from tasks.gaussians import Gaussians
from tasks.splat.fit import Splat


def arrays_of(splat: Splat) -> Iterator[NamedArray]:
    """The parameters of the Gaussians, and the training curve."""
    gaussians, curve = splat.fitted.gaussians, splat.fitted.curve
    for name, tensor, dims in (
        ("means", gaussians.means, ("gaussian", "xyz")),
        ("quats", gaussians.quats, ("gaussian", "wxyz")),
        ("log_scales", gaussians.log_scales, ("gaussian", "axis")),
        ("logit_opacities", gaussians.logit_opacities, ("gaussian",)),
        ("sh", gaussians.sh, ("gaussian", "harmonic", "channel")),
    ):
        yield NamedArray(name=name, values=tensor.numpy(), dims=dims)
    yield NamedArray(name="curve_iteration", values=curve.iteration, dims=("curve_point",))
    yield NamedArray(name="curve_loss", values=curve.loss, dims=("curve_point",))
    yield NamedArray(name="curve_gaussians", values=curve.gaussians, dims=("curve_point",))


def attributes_of(splat: Splat) -> dict[str, Any]:
    """What the arrays do not say, JSON-able."""
    return {
        "gaussians": len(splat.fitted.gaussians),
        "training": list(splat.training),
        "held_out": list(splat.held_out),
        "longest_edge": splat.longest_edge,
        "initial_points": splat.initial_points,
    }


def read_gaussians(stored: ArrayHandle) -> Gaussians:
    """The Gaussians of a stored splat."""
    names = ("means", "quats", "log_scales", "logit_opacities", "sh")
    return Gaussians(**{name: torch.from_numpy(stored.array(name)) for name in names})
