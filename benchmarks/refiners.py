"""Cost of refining a novel view, by refiner and by part, on the CPU.

    python benchmarks/refiners.py [--size 960 640] [--photos 3] [--threads 1 2] [--repeats 9]
                                  [--refiners reproject residual controlnet] [--json refiners.json]

Random views, and networks of the shapes that ship with random weights: what they cost does not
depend on what they show. Refiners and threads are measured in turns, so that a busy machine slows
all of them alike; figures are medians of milliseconds a view, after a view that compiles. To be met
at 960x640 on 2 cores: `residual` 1.5 s a view, `controlnet` 6 s.

Parts are measured by themselves, each with what it needs ready; `rest` is what the whole takes
beside them. Beside stands a floor: the bytes that the refinement reads and writes, and that its
convolutions do, moved once at the bandwidth of a large copy, and the operations of the convolutions
at the rate of a large matrix product, both measured here with as many threads, in the same turns.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from tasks.refine.config import ControlNet, GateConfig, RefineConfig, Reproject, Residual
from tasks.refine.diffusion.small import SmallShape, new_small, small_checkpoint
from tasks.refine.gate import gated
from tasks.refine.photos.align import align_photos
from tasks.refine.photos.features import features_of
from tasks.refine.photos.reproject import reproject
from tasks.refine.refiner import Refiner, ViewBatch
from tasks.refine.residual.checkpoint import checkpoint_of
from tasks.refine.residual.config import NetworkConfig
from tasks.refine.residual.network import ResidualNetwork
from tasks.refine.residual.refine import refine
from tasks.refine.select import refiner_for
from tasks.runtime.context import Context
from tasks.runtime.threads import limit_threads, torch_threads
from tasks.source import Source

GATE = GateConfig()
COPIED_BYTES = 2**28
MATRIX = 1536
"""Edge of the matrices of the large product."""


def random_views(width: int, height: int, photos: int, *, seed: int = 0) -> ViewBatch:
    """One view of a textured place, whose photos nearly agree."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(1, *shape, generator=generator)

    truth = 0.1 + 0.8 * uniform(height, width, 3)
    swept = truth[:, None] + 0.05 * (uniform(photos, height, width, 3) - 0.5)
    depth = 3 + uniform(height, width)
    return ViewBatch(
        render=(truth + 0.2 * (uniform(height, width, 3) - 0.5)).clamp(0, 1),
        depth=depth,
        alpha=uniform(height, width),
        confidence=uniform(height, width),
        warped=swept[:, 0].clone(),
        warped_valid=uniform(height, width),
        nearest=swept[:, 0].clone(),
        swept_depth=depth * (1 + 0.1 * (uniform(height, width) - 0.5)),
        swept_cost=0.1 * uniform(height, width),
        swept=swept,
        swept_valid=(uniform(photos, height, width) > 0.1).float(),
        surface_gap=0.1 * uniform(height, width),
        surface_error=0.1 * uniform(height, width),
    )


def random_weights(module: nn.Module, *, seed: int) -> None:
    """Small ones everywhere: an untrained network has layers of zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in module.parameters():
            weights.copy_(0.02 * torch.randn(weights.shape, generator=generator))


class Convolutions:
    """What the convolutions and products of all networks take, while it is watched."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.operations = 0
        self.bytes = 0
        self._started = 0.0

    @contextmanager
    def watched(self) -> Iterator["Convolutions"]:
        hooks = [
            register_module_forward_pre_hook(self._before),
            register_module_forward_hook(self._after),
        ]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()

    def _before(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._started = time.perf_counter()

    def _after(self, module: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            self.seconds += time.perf_counter() - self._started
            self.operations += 2 * found.numel() * module.weight[0].numel()
            tensors = (given[0], found, module.weight)
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def timed_ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


class ReprojectArm:
    def __init__(self, views: ViewBatch) -> None:
        self._views = views
        self._config = Reproject()
        self._refiner = refiner_for(RefineConfig(refiner=self._config))

    def refiner(self, threads: int) -> Refiner:
        return self._refiner

    def parts(self, threads: int) -> dict[str, float]:
        scale = self._config.detail_scale
        photos = align_photos(self._views, scale)
        return {
            "align_ms": timed_ms(lambda: align_photos(self._views, scale)),
            "reproject_ms": timed_ms(lambda: reproject(self._views, self._config, photos)),
        }


class ResidualArm:
    def __init__(self, views: ViewBatch, folder: Path) -> None:
        self._views = views
        self._network = ResidualNetwork(NetworkConfig()).eval()
        random_weights(self._network, seed=1)
        self._weights = _kept(
            folder / "residual.safetensors", checkpoint_of(self._network, data="")
        )

    def refiner(self, threads: int) -> Refiner:
        config = RefineConfig(refiner=Residual(gate=GATE))
        return refiner_for(config, weights=self._weights, context=Context(threads=threads))

    def parts(self, threads: int) -> dict[str, float]:
        views, network = self._views, self._network
        scale = network.config.reproject.detail_scale
        with torch.inference_mode():
            photos = align_photos(views, scale)
            features = features_of(views, network.config, photos)
            found = {
                "align_ms": timed_ms(lambda: align_photos(views, scale)),
                "features_ms": timed_ms(lambda: features_of(views, network.config, photos)),
            }
            with torch_threads(threads), Convolutions().watched() as convolutions:
                found["network_ms"] = timed_ms(lambda: network(features))
            found["of_it_convolutions_ms"] = 1e3 * convolutions.seconds
            refined = refine(network, views, context=Context(threads=threads))
            found["gate_ms"] = timed_ms(lambda: gated(views, refined, GATE))
        return found


class ControlNetArm:
    def __init__(self, views: ViewBatch, folder: Path) -> None:
        self._views = views
        small = new_small(SmallShape(), seed=0)
        for seed, module in enumerate(small.parts.values()):
            random_weights(module, seed=seed)
        self._shape = small.shape.features
        content = small_checkpoint(small, data="")
        self._weights = _kept(folder / "controlnet.safetensors", content)

    def refiner(self, threads: int) -> Refiner:
        config = RefineConfig(refiner=ControlNet(gate=GATE))
        return refiner_for(config, weights=self._weights, context=Context(threads=threads))

    def parts(self, threads: int) -> dict[str, float]:
        views = self._views
        refined = reproject(views, self._shape.reproject)
        return {
            "features_ms": timed_ms(lambda: features_of(views, self._shape)),
            "gate_ms": timed_ms(lambda: gated(views, refined, GATE)),
        }


Arm = ReprojectArm | ResidualArm | ControlNetArm


def _kept(path: Path, content: bytes) -> Source:
    path.write_bytes(content)
    return Source(folder=str(path), digest=sha256(content).hexdigest())


class Machine:
    """How fast it moves and multiplies, with as many threads as torch has."""

    def __init__(self) -> None:
        self._from, self._to = torch.ones(COPIED_BYTES // 4), torch.ones(COPIED_BYTES // 4)
        self._a, self._b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
        self._product = torch.empty(MATRIX, MATRIX)

    def gigabytes_per_s(self) -> float:
        """Read and written, each counted."""
        return 2 * COPIED_BYTES / 1e6 / timed_ms(lambda: self._to.copy_(self._from))

    def gigaflops(self) -> float:
        product_ms = timed_ms(lambda: torch.mm(self._a, self._b, out=self._product))
        return 2 * MATRIX**3 / 1e6 / product_ms


def bytes_of_refinement(views: ViewBatch) -> int:
    """All of a view read and an image and a weight written, once."""
    tensors = [getattr(views, field.name) for field in fields(views)]
    return sum(tensor.nbytes for tensor in (*tensors, views.render, views.alpha))


def measure(
    views: ViewBatch, arms: Mapping[str, Arm], threads: list[int], repeats: int
) -> list[dict[str, str | float]]:
    """A row for each refiner and number of threads, of medians."""
    machine = Machine()
    refiners = {
        (name, count): arm.refiner(count) for name, arm in arms.items() for count in threads
    }
    samples: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in refiners}
    for repeat in range(repeats + 1):
        for count in threads:
            limit_threads(count)
            with torch_threads(count):
                rates = machine.gigabytes_per_s(), machine.gigaflops()
            for name, arm in arms.items():
                refiner = refiners[name, count]
                parts = arm.parts(count)
                with Convolutions().watched() as convolutions:
                    refiner(views)
                total_ms = timed_ms(lambda refiner=refiner: refiner(views))
                moved = bytes_of_refinement(views) + convolutions.bytes
                own = sum(value for part, value in parts.items() if not part.startswith("of_it"))
                sample = {
                    "view_ms": total_ms,
                    **parts,
                    "rest_ms": total_ms - own,
                    "moving_floor_ms": moved / rates[0] / 1e6,
                    "multiplying_floor_ms": convolutions.operations / rates[1] / 1e6,
                    "gigabytes_per_s": rates[0],
                    "gigaflops": rates[1],
                }
                if repeat > 0:  # the first compiles, and touches fresh memory
                    samples[name, count].append(sample)
    return [
        {"refiner": name, "threads": count}
        | {part: statistics.median(sample[part] for sample in taken) for part in taken[0]}
        for (name, count), taken in samples.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=[960, 640], metavar=("W", "H"))
    parser.add_argument("--photos", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, nargs="+", default=sorted({1, torch.get_num_threads()})
    )
    parser.add_argument("--repeats", type=int, default=9)
    known = ["reproject", "residual", "controlnet"]
    parser.add_argument("--refiners", nargs="+", choices=known, default=known)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()

    width, height = arguments.size
    views = random_views(width, height, arguments.photos)
    with tempfile.TemporaryDirectory() as folder:
        make: dict[str, Callable[[], Arm]] = {
            "reproject": lambda: ReprojectArm(views),
            "residual": lambda: ResidualArm(views, Path(folder)),
            "controlnet": lambda: ControlNetArm(views, Path(folder)),
        }
        arms = {name: make[name]() for name in arguments.refiners}
        rows = measure(views, arms, arguments.threads, arguments.repeats)
    for row in rows:
        print(f"{row['refiner']}, {row['threads']} threads")
        for part, value in row.items():
            if isinstance(value, float):
                print(f"  {part:22} {value:8.1f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
