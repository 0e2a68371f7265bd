"""How fast the CPU rasteriser is: rendering, its gradient and whole training iterations.

    python benchmarks/rasterise.py [--gaussians 20000 100000 300000] [--threads 1 2]
                                   [--repeats 15] [--json rasterise.json]

A random splat of 20k, 100k and 300k Gaussians with harmonics of degree 3 is rendered at 664x490,
about 50 Gaussians deep in every pixel whatever their number. An iteration is activations,
rendering, L1 + D-SSIM, the gradient and Adam for every parameter, without densification. The sizes
are measured in turns, so that a busy machine slows all of them alike; figures are medians of wall
time. To be met on 2 cores with AVX-512 (our own trials, 2 threads): an iteration in 32, 72 and 229
ms.
"""

import argparse
import json
import statistics
import time
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import torch
from torch import Tensor

from tasks.gaussians import Gaussians
from tasks.splat.adam import Adam
from tasks.splat.loss import photometric_loss, prepare_target
from tasks.splat.rasterise.cpu import rasterise
from tasks.splat.rasterise.cpu.warm_up import warm_up
from tasks.splat.rasterise.protocol import Rendering

WIDTH, HEIGHT = 664, 490
CAMERA_FROM_WORLD = np.eye(4)
INTRINSICS = np.array([[600.0, 0.0, WIDTH / 2], [0.0, 600.0, HEIGHT / 2], [0.0, 0.0, 1.0]])
SH_DEGREE = 3


def random_splat(count: int, *, seed: int) -> Gaussians:
    """Gaussians spread over the view, 2 to 8 units away, smaller the more there are."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    depth = 2 + 6 * uniform(count, 1)
    across = (2 * uniform(count, 2) - 1) * torch.tensor([WIDTH, HEIGHT]) / 1200 * 1.1
    median_scale = 0.03 * (100_000 / count) ** 0.5
    return Gaussians(
        means=torch.cat([across * depth, depth], 1),
        quats=normal(count, 4),
        log_scales=torch.log(torch.tensor(median_scale)) + 0.5 * normal(count, 3),
        logit_opacities=1.5 * normal(count) - 1,
        sh=0.2 * normal(count, (SH_DEGREE + 1) ** 2, 3),
    )


class Workload:
    """One size of splat, ready to be rendered and trained."""

    def __init__(self, count: int) -> None:
        splat = random_splat(count, seed=0)
        self.count = count
        self.parameters = {
            name: getattr(splat, name).clone().requires_grad_()
            for name in ("means", "quats", "log_scales", "logit_opacities", "sh")
        }
        self.optimisers = [Adam([p], lr=1e-5) for p in self.parameters.values()]
        photo = torch.rand(HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))
        self.target = prepare_target(photo)

    def render(self) -> Rendering:
        p = self.parameters
        return rasterise(
            p["means"],
            p["quats"],
            p["log_scales"].exp(),
            p["logit_opacities"].sigmoid(),
            p["sh"],
            camera_from_world=CAMERA_FROM_WORLD,
            intrinsics=INTRINSICS,
            width=WIDTH,
            height=HEIGHT,
            sh_degree=SH_DEGREE,
        )

    def measure(self) -> dict[str, float]:
        """Milliseconds of each part of one iteration."""
        marks = [time.perf_counter()]

        def mark() -> None:
            marks.append(time.perf_counter())

        rgb = self.render().rgb
        mark()
        loss = photometric_loss(rgb, self.target, ssim_weight=0.2)
        mark()
        loss.backward()
        mark()
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        mark()
        parts = [1e3 * (end - start) for start, end in pairwise(marks)]
        names = ("forward_ms", "loss_ms", "backward_ms", "adam_ms")
        return {**dict(zip(names, parts, strict=True)), "iteration_ms": sum(parts)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gaussians", type=int, nargs="+", default=[20_000, 100_000, 300_000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()

    torch.set_num_threads(1)  # its OpenMP threads would spin on the cores of the next kernel
    print(f"kernels ready after {warm_up():.1f} s")
    workloads = [Workload(count) for count in arguments.gaussians]
    samples: dict[tuple[int, int], list[dict[str, float]]] = {}
    for repeat in range(arguments.repeats + 1):
        for threads in arguments.threads:
            numba.set_num_threads(threads)
            for workload in workloads:
                sample = workload.measure()
                if repeat > 0:  # the first touches fresh memory
                    samples.setdefault((workload.count, threads), []).append(sample)

    rows = [
        {"gaussians": count, "threads": threads}
        | {name: statistics.median(sample[name] for sample in taken) for name in taken[0]}
        for (count, threads), taken in sorted(samples.items())
    ]
    print(" | ".join(rows[0]))
    for row in rows:
        print(" | ".join(f"{value:{len(name)}.0f}" for name, value in row.items()))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
