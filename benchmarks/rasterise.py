"""Speed of the CPU rasteriser: rendering, its gradient and whole training iterations.

    python benchmarks/rasterise.py [--gaussians 20000 100000 300000] [--threads 1 2]
                                   [--repeats 15] [--reference-repeats 1] [--json rasterise.json]
    python benchmarks/rasterise.py --memory [--gaussians 300000]

A random splat of 20k, 100k and 300k Gaussians with harmonics of degree 3 is rendered at 664x490,
about 50 Gaussians deep in every pixel whatever their number. An iteration is that of
``tasks.splat.train.trainer`` without densification: activations, rendering, L1 + D-SSIM, the
gradient and Adam for every parameter, the harmonics in two. All sizes and numbers of threads are
measured in turns, so that a busy machine slows all of them alike; figures are medians of wall time.
The same splats are fitted in plain torch (``torch_tiles.py``) with the most of these threads; its
times and how many times longer it takes stand in the row of as many threads.

A pair is a Gaussian and a pixel: tested where alpha is worked out, 16 pixels at a time, and blended
where it counts. The nanoseconds for a blended pair are those of the blending kernels alone.

The floor is the time to move an iteration's bytes at the speed of a copy on as many threads. Each
of a Gaussian's 59 numbers is read by the projection and its gradient, whose result is written; Adam
reads four numbers for it and writes three: 10 x 59 x 4 bytes. A tested pair costs some 30 floating
operations forward and 55 backward, none of which memory has to wait for: at 2 vectors of 16 lanes a
cycle, as the best cores do, and 4 GHz, 0.23 and 0.43 ns x tested / blended.

With ``--memory``: how much the peak resident memory of a process grows by a fit of 5 iterations,
over that of its parameters and Adam's state.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
import torch_tiles
from torch import Tensor

from tasks.gaussians import Gaussians
from tasks.runtime.threads import limit_threads
from tasks.splat.rasterise.cpu import rasterise as cpu
from tasks.splat.rasterise.cpu.layout import (
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    MEAN_X,
    MEAN_Y,
    OPACITY,
    TILE,
)
from tasks.splat.rasterise.cpu.warm_up import warm_up
from tasks.splat.rasterise.protocol import PinholeCameras, RenderOptions, SplatTensors
from tasks.splat.train.adam import Adam
from tasks.splat.train.loss import photometric_loss, prepare_target

WIDTH, HEIGHT = 664, 490
CAMERA_FROM_WORLD = np.eye(4)
INTRINSICS = np.array([[600.0, 0.0, WIDTH / 2], [0.0, 600.0, HEIGHT / 2], [0.0, 0.0, 1.0]])
SH_DEGREE = 3
KERNELS = (
    "project",
    "order_by_depth",
    "bin_into_tiles",
    "blend",
    "blend_backward",
    "project_backward",
)
NUMBERS = 3 + 4 + 3 + 1 + 3 * (SH_DEGREE + 1) ** 2
"""Floats of a Gaussian."""
BYTES = 10 * 4 * NUMBERS
"""Moved in an iteration for a Gaussian."""


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


class Kernels:
    """Stands between the rasteriser and its kernels, and keeps each one's time and arguments."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self.arguments: dict[str, tuple[Any, ...]] = {}
        for name in KERNELS:
            setattr(cpu, name, self._watched(name, getattr(cpu, name)))

    def _watched(self, name: str, kernel: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: Any) -> object:
            start_s = time.perf_counter()
            result = kernel(*arguments)
            self.ms[f"{name}_ms"] = 1e3 * (time.perf_counter() - start_s)
            self.arguments[name] = arguments
            return result

        return call


class Workload:
    """One size of splat, ready to be rendered and trained."""

    def __init__(self, count: int) -> None:
        splat = random_splat(count, seed=0)
        self.count = count
        initial = {
            "means": splat.means,
            "quats": splat.quats,
            "scales": splat.log_scales,
            "opacities": splat.logit_opacities,
            "sh0": splat.sh[:, :1],
            "shN": splat.sh[:, 1:],
        }
        self.parameters = {
            name: value.clone(memory_format=torch.contiguous_format).requires_grad_()
            for name, value in initial.items()
        }
        self.optimisers = [Adam([p], lr=1e-5) for p in self.parameters.values()]
        photo = torch.rand(HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))
        self.target = prepare_target(photo)

    def render(self) -> Tensor:
        p = self.parameters
        return cpu.rasterise(
            SplatTensors(
                means=p["means"],
                quats=p["quats"],
                scales=torch.exp(p["scales"]),
                opacities=torch.sigmoid(p["opacities"]),
                sh=p["sh0"],
                sh_rest=p["shN"],
            ),
            PinholeCameras(
                camera_from_world=CAMERA_FROM_WORLD,
                intrinsics=INTRINSICS,
                width=WIDTH,
                height=HEIGHT,
            ),
            RenderOptions(sh_degree=SH_DEGREE),
        ).rgb

    def render_in_torch(self) -> Tensor:
        p = self.parameters
        return torch_tiles.render(
            p["means"],
            p["quats"],
            torch.exp(p["scales"]),
            torch.sigmoid(p["opacities"]),
            torch.cat([p["sh0"], p["shN"]], 1),
            camera_from_world=CAMERA_FROM_WORLD,
            intrinsics=INTRINSICS,
            width=WIDTH,
            height=HEIGHT,
        )

    def measure(self, render: Callable[[], Tensor]) -> dict[str, float]:
        """Milliseconds of each part of one iteration."""
        marks = [time.perf_counter()]

        def mark() -> None:
            marks.append(time.perf_counter())

        rgb = render()
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

    def measure_in_torch(self, threads: int) -> dict[str, float]:
        torch.set_num_threads(threads)
        found = self.measure(self.render_in_torch)
        torch.set_num_threads(1)
        return found

    @torch.no_grad()
    def difference_to_torch(self) -> float:
        """The largest, of a pixel in one channel."""
        return float((self.render() - self.render_in_torch()).abs().max())


@numba.njit(cache=True)
def count_pairs(
    projected: np.ndarray, starts: np.ndarray, members: np.ndarray, stops: np.ndarray,
    touched: np.ndarray, width: int, height: int,
) -> tuple[int, int]:  # fmt: skip
    """Pairs tested and blended, pixel by pixel, from what the blending kernel took and wrote."""
    columns = (width + TILE - 1) // TILE
    tested = 0
    blended = 0
    left = np.empty((TILE, TILE))
    for tile in range(len(stops)):
        left[:] = 1.0
        for i in range(starts[tile], stops[tile]):
            one = projected[members[i]]
            first, last = touched[i] % TILE, touched[i] // TILE
            for row in range(first, last + 1):
                tested += TILE
                y = tile // columns * TILE + row
                for column in range(TILE):
                    x = tile % columns * TILE + column
                    if x >= width or y >= height:
                        continue
                    dx = one[MEAN_X] - (x + 0.5)
                    dy = one[MEAN_Y] - (y + 0.5)
                    sigma = 0.5 * (one[CONIC_XX] * dx * dx + one[CONIC_YY] * dy * dy)
                    alpha = min(0.999, one[OPACITY] * np.exp(-sigma - one[CONIC_XY] * dx * dy))
                    if alpha < 1 / 255 or left[row, column] == 0:
                        continue
                    after = left[row, column] * (1 - alpha)
                    left[row, column] = after if after > 1e-4 else 0.0
                    blended += after > 1e-4
    return tested, blended


@numba.njit(parallel=True, cache=True)
def copy(source: np.ndarray, target: np.ndarray) -> None:
    for i in numba.prange(len(source)):
        target[i] = source[i]


def copied_gb_per_s() -> float:
    """Bytes read and written in a second by the threads in use."""
    source, target = np.ones((2, 16_000_000), np.float32)
    taken_s = []
    for _ in range(5):
        start_s = time.perf_counter()
        copy(source, target)
        taken_s.append(time.perf_counter() - start_s)
    return 2e-9 * source.nbytes / min(taken_s)


def measure_speed(arguments: argparse.Namespace) -> list[dict[str, float]]:
    limit_threads(1)
    most = max(arguments.threads)
    print(f"kernels ready after {warm_up():.1f} s")
    kernels = Kernels()
    workloads = [Workload(count) for count in arguments.gaussians]
    samples: dict[tuple[int, int], list[dict[str, float]]] = {}
    pairs: dict[int, tuple[int, int]] = {}
    gb_per_s = {}
    for repeat in range(arguments.repeats + 1):
        for threads in arguments.threads:
            limit_threads(threads)
            for workload in workloads:
                sample = workload.measure(workload.render) | kernels.ms
                if repeat > 0:  # the first touches fresh memory
                    samples.setdefault((workload.count, threads), []).append(sample)
                    continue
                projected, tiles, *_ = kernels.arguments["blend"]
                pairs[workload.count] = count_pairs(projected, *tiles, WIDTH, HEIGHT)
            if repeat == 0:
                gb_per_s[threads] = copied_gb_per_s()
    in_torch: dict[tuple[int, int], list[dict[str, float]]] = {}
    for _ in range(arguments.reference_repeats):
        for workload in workloads:
            sample = workload.measure_in_torch(most)
            in_torch.setdefault((workload.count, most), []).append(sample)
    differences = {w.count: w.difference_to_torch() for w in workloads} if in_torch else {}

    rows = []
    for (count, threads), taken in sorted(samples.items()):
        tested, blended = pairs[count]
        row = {name: statistics.median(sample[name] for sample in taken) for name in taken[0]}
        row |= {
            "gaussians": count,
            "threads": threads,
            "pairs_tested": tested,
            "pairs_blended": blended,
            "forward_ns_per_pair": 1e6 * row["blend_ms"] / blended,
            "backward_ns_per_pair": 1e6 * row["blend_backward_ms"] / blended,
            "floor_ms": 1e-6 * BYTES * count / gb_per_s[threads],
        }
        if found := in_torch.get((count, threads)):
            row |= {
                f"torch_{name}": statistics.median(sample[name] for sample in found)
                for name in ("forward_ms", "backward_ms", "iteration_ms")
            }
            row["torch_difference"] = differences[count]
        rows.append(row)
    return rows


def print_speed(rows: list[dict[str, float]]) -> None:
    by_place = {(row["gaussians"], row["threads"]): row for row in rows}
    titles = "Gaussians threads forward loss backward adam iteration speed-up floor ns/pair"
    print(f"{titles} torch forward backward iteration ratio (ms)")
    for row in rows:
        alone = by_place.get((row["gaussians"], 1), row)
        times = [row[f"{n}_ms"] for n in ("forward", "loss", "backward", "adam", "iteration")]
        line = (
            f"{row['gaussians']:9.0f} {row['threads']:7.0f} {times[0]:7.1f} {times[1]:4.1f} "
            f"{times[2]:8.1f} {times[3]:4.1f} {times[4]:9.1f} "
            f"{alone['iteration_ms'] / row['iteration_ms']:7.2f}x {row['floor_ms']:5.1f} "
            f"{row['forward_ns_per_pair']:.2f} + {row['backward_ns_per_pair']:.2f}"
        )
        if "torch_iteration_ms" in row:
            line += "".join(
                f" {row[f'torch_{n}_ms']:8.0f}" for n in ("forward", "backward", "iteration")
            )
            line += f" {row['torch_iteration_ms'] / row['iteration_ms']:5.0f}x"
            line += f", images within {row['torch_difference']:.0e}"
        print(line)
    print("kernels, ms: " + " ".join(KERNELS))
    for row in rows:
        parts = " ".join(f"{row[f'{name}_ms']:{len(name)}.1f}" for name in KERNELS)
        print(f"{row['gaussians']:9.0f} {row['threads']:2.0f} {parts}")
    for count in sorted({row["gaussians"] for row in rows}):
        one = next(row for row in rows if row["gaussians"] == count)
        print(
            f"{count:9.0f}: {one['pairs_tested'] / 1e6:.1f}M pairs tested, "
            f"{one['pairs_blended'] / 1e6:.1f}M blended"
        )


def peak_mb() -> float:
    """Resident memory of this process at its highest, MB (10^6 bytes)."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024e-6 if sys.platform != "darwin" else kilobytes * 1e-6


def measure_memory(arguments: argparse.Namespace) -> list[dict[str, float]]:
    """In a process of its own for each size, since a peak never falls."""
    rows = []
    for count in arguments.gaussians:
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            limit_threads(max(arguments.threads))
            warm_up()
            before = peak_mb()
            workload = Workload(count)
            for _ in range(5):
                workload.measure(workload.render)
            os.write(writer, f"{peak_mb() - before}".encode())
            os._exit(0)
        os.waitpid(child, 0)
        grown = float(os.read(reader, 64))
        state = 3 * 4e-6 * NUMBERS * count
        images = 3 * 4e-6 * 3 * WIDTH * HEIGHT
        row = {"gaussians": count, "grown_mb": grown, "state_mb": state, "images_mb": images}
        row["ratio"] = (grown - images) / state
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gaussians", type=int, nargs="+", default=[20_000, 100_000, 300_000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--reference-repeats", type=int, default=1, help="0 leaves torch out")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()

    if arguments.memory:
        rows = measure_memory(arguments)
        for row in rows:
            print(
                f"{row['gaussians']} Gaussians: the peak grew by {row['grown_mb']:.0f} MB, "
                f"{row['ratio']:.2f} x the {row['state_mb']:.0f} MB of parameters and Adam's state "
                f"after {row['images_mb']:.0f} MB of a photo"
            )
    else:
        rows = measure_speed(arguments)
        print_speed(rows)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
