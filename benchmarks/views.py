"""Cost of a novel view: render with confidence, plane sweep, and refinement by reprojection.

    python benchmarks/views.py [--sizes 480 640] [--gaussians 50000] [--photos 8] [--threads 1 2]
                               [--repeats 15] [--json views.json]

A random splat of 50k Gaussians stands before eight cameras, which see it as their photos do. Sizes
and threads are measured in turns, so that a busy machine slows all of them alike; figures are
medians of wall time a view, after one view that compiles. To be met at 640 px on 2 cores: 0.6 s in
all, of which sweep and reproject at most 0.35. Memory is the process's peak, the interpreter and
its libraries included, and what it held before the first view.
"""

import argparse
import json
import resource
import statistics
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import torch

from tasks.cameras import Cameras
from tasks.depth.plane_sweep import plane_sweep
from tasks.gaussians import Gaussians
from tasks.images import from_uint8, to_uint8
from tasks.refine.config import RefineConfig, Reproject
from tasks.refine.refiner import batch_of
from tasks.refine.select import refiner_for
from tasks.runtime.threads import limit_threads
from tasks.splat.render import render
from tasks.views.config import ViewsConfig
from tasks.views.renderer import prepare, render_view

ASPECT = 1.5
DISTANCE = 5.0


def random_splat(count: int, *, seed: int) -> Gaussians:
    """Gaussians on a rough wall, as far away as a photo would have them, in random colours."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(count, 3, generator=generator)
    means = (uniform - 0.5) * torch.tensor([8.0, 6.0, 1.0]) + torch.tensor([0.0, 0.0, DISTANCE])
    spacing = (8.0 * 6.0 / count) ** 0.5
    return Gaussians(
        means=means,
        quats=torch.randn(count, 4, generator=generator),
        log_scales=torch.log(torch.tensor(spacing))
        + 0.3 * torch.randn(count, 3, generator=generator),
        logit_opacities=2 + torch.randn(count, generator=generator),
        sh=0.4
        * torch.randn(count, 9, 3, generator=generator)
        * torch.tensor([1.0] + 8 * [0.1])[:, None],
    )


def cameras_before_it(count: int, longest_edge: int) -> Cameras:
    """On a line, looking at the wall; the last is the novel view, between the others."""
    places = np.append(np.linspace(-1.0, 1.0, count), 0.1)
    poses = np.tile(np.eye(4), (count + 1, 1, 1))
    poses[:, 0, 3] = -places
    width, height = longest_edge, round(longest_edge / ASPECT)
    lens = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]])
    return Cameras(
        names=tuple(f"{index}.png" for index in range(count + 1)),
        camera_from_world=poses,
        intrinsics=np.tile(lens, (count + 1, 1, 1)),
        sizes=np.tile(np.array([[width, height]], dtype=np.int64), (count + 1, 1)),
    )


class Workload:
    """One size of view, ready to be looked at."""

    def __init__(self, longest_edge: int, photos: int, gaussians: int) -> None:
        splat = random_splat(gaussians, seed=0)
        cameras = cameras_before_it(photos, longest_edge)
        self.longest_edge = longest_edge
        self.view = cameras.select([photos])
        training = cameras.select(range(photos))
        self.photos = [
            to_uint8(render(splat, training, index).rgb.clamp(0, 1).numpy())
            for index in range(photos)
        ]
        self.training = training
        self.renderer = prepare(splat, training, self.photos, longest_edge=longest_edge)
        self.refiner = refiner_for(RefineConfig(refiner=Reproject()))

    def measure(self) -> dict[str, float]:
        """Milliseconds of each part of one view."""
        config = ViewsConfig()
        marks = [time.perf_counter()]
        view = render_view(self.renderer, self.view, config)
        marks.append(time.perf_counter())
        nearest = self.photos[self.training.names.index(view.nearest)]
        self.refiner(batch_of([view], [nearest]))
        marks.append(time.perf_counter())
        # Once more by itself, to tell it from what else an observation is.
        sources = self.training.indices_of(view.sources)
        photos = [from_uint8(self.photos[index]) for index in sources]
        marks.append(time.perf_counter())
        plane_sweep(view.depth, self.view, photos, self.training.select(sources), config.sweep)
        marks.append(time.perf_counter())
        observe_ms, reproject_ms, _, sweep_ms = (
            1e3 * (end - start) for start, end in pairwise(marks)
        )
        return {
            "render_ms": observe_ms - sweep_ms,
            "sweep_ms": sweep_ms,
            "reproject_ms": reproject_ms,
            "view_ms": observe_ms + reproject_ms,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[480, 640])
    parser.add_argument("--gaussians", type=int, default=50_000)
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()

    limit_threads(1)
    workloads = [Workload(size, arguments.photos, arguments.gaussians) for size in arguments.sizes]
    held_mib = psutil.Process().memory_info().rss / 2**20
    samples: dict[tuple[int, int], list[dict[str, float]]] = {}
    for repeat in range(arguments.repeats + 1):
        for threads in arguments.threads:
            limit_threads(threads)
            for workload in workloads:
                sample = workload.measure()
                if repeat > 0:  # the first compiles, and touches fresh memory
                    samples.setdefault((workload.longest_edge, threads), []).append(sample)

    rows = [
        {"longest_edge": size, "threads": threads}
        | {name: statistics.median(sample[name] for sample in taken) for name in taken[0]}
        for (size, threads), taken in sorted(samples.items())
    ]
    print(" | ".join(rows[0]))
    for row in rows:
        print(" | ".join(f"{value:{len(name)}.0f}" for name, value in row.items()))
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"held before the views {held_mib:.0f} MiB, peak {peak_mib:.0f} MiB")
    if arguments.json is not None:
        memory = {"held_mib": held_mib, "peak_mib": peak_mib}
        arguments.json.write_text(json.dumps({"views": rows, "memory": memory}, indent=1))


if __name__ == "__main__":
    main()
