"""Compile every CPU kernel once, so that set-up pays for it and no training does."""

import time
from collections.abc import Callable

import numpy as np
import torch

from tasks.runtime.jit import is_compiled
from tasks.runtime.progress import Progress
from tasks.splat.densify.noise import add_noise
from tasks.splat.rasterise.cpu.blend import blend, blend_backward
from tasks.splat.rasterise.cpu.project import project, project_backward
from tasks.splat.rasterise.cpu.rasterise import rasterise
from tasks.splat.rasterise.protocol import PinholeCameras, RenderOptions, SplatTensors
from tasks.splat.train.adam import Adam
from tasks.splat.train.appearance import affine_colours
from tasks.splat.train.loss import photometric_loss, prepare_target

_SIZE = 16  # pixels


def warm_up(progress: Callable[[int, int, str], None] | None = None) -> float:
    """Compile the kernels of rendering and training, or load them from numba's cache.

    Args:
        progress: called with the steps done, their total and the name of the next.

    Returns:
        Seconds it took: 20 to 90 the first time on a machine, less than one afterwards.
    """
    start_s = time.perf_counter()
    steps: dict[str, Callable[[], object]] = {
        "rendering": _render,
        "gradients of rendering": lambda: torch.autograd.backward(_render().sum()),
        "loss": _compare,
        "colours": _map_colours,
        "optimiser": _optimise,
        "noise": _explore,
    }
    for done, (name, step) in enumerate(steps.items()):
        if progress is not None:
            progress(done, len(steps), name)
        step()
    if progress is not None:
        progress(len(steps), len(steps), "done")
    return time.perf_counter() - start_s


def compile_if_new(progress: Progress) -> None:
    """Compile on the first run on this kind of processor, reporting it; later do nothing."""
    if all(is_compiled(kernel) for kernel in (project, blend, blend_backward, project_backward)):
        return

    def report(done: int, total: int, name: str) -> None:
        if done < total:
            doing = f"compiling for this processor ({done + 1} of {total}: {name})"
            progress(0.0, f"{doing}, a minute or so this first time, kept for later runs")

    warm_up(report)


def _render() -> torch.Tensor:
    return rasterise(
        SplatTensors(
            means=torch.tensor([[0.0, 0.0, 2.0]], requires_grad=True),
            quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
            scales=torch.full((1, 3), 0.1),
            opacities=torch.tensor([0.5]),
            sh=torch.zeros(1, 1, 3),
        ),
        PinholeCameras(
            camera_from_world=np.eye(4),
            intrinsics=np.array([[_SIZE, 0, _SIZE / 2], [0, _SIZE, _SIZE / 2], [0, 0, 1.0]]),
            width=_SIZE,
            height=_SIZE,
        ),
        RenderOptions(sh_degree=0),
    ).rgb


def _compare() -> None:
    image = torch.zeros(_SIZE, _SIZE, 3)
    rendered = image.clone().requires_grad_()
    for weight in (None, image[..., 0]):  # numba compiles the kernels for each of the two
        target = prepare_target(image, weight)
        torch.autograd.backward(photometric_loss(rendered, target, ssim_weight=0.2))


def _map_colours() -> None:
    rendered = torch.zeros(_SIZE, _SIZE, 3, requires_grad=True)
    torch.autograd.backward(affine_colours(rendered, torch.eye(3, 4)).sum())


def _optimise() -> None:
    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    Adam([parameter], lr=0.0).step()


def _explore() -> None:
    means, quats = np.zeros((1, 3), np.float32), np.ones((1, 4), np.float32)
    add_noise(means, quats, means.copy(), means[:, 0].copy(), means.copy(), np.float32(0))
