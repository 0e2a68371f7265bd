"""Seconds and memory of the perceptual figures, on the CPU.

    python benchmarks/perceptual.py [--sizes 480x320 640x427] [--backbones alex vgg] [--threads 1]
                                    [--repeats 3]

A photo of noise and a brighter picture of it, whose distance takes as long as any: seconds of the
photo's features and of one picture, the least of the repeats.
"""

import argparse
import resource
import time

import numpy as np
import torch

from tasks.metrics.perceptual.files import INSTALL, find_perceptual_weights
from tasks.metrics.perceptual.load import perceptual_distances


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["480x320", "640x427"])
    parser.add_argument("--backbones", nargs="+", choices=["alex", "vgg"], default=["alex", "vgg"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for backbone in options.backbones:
        distances = perceptual_distances(find_perceptual_weights(backbone))
        if not distances:
            print(f"{backbone}: no weights; {INSTALL}")
        for name, distance_to in distances.items():
            for size in options.sizes:
                width, height = map(int, size.split("x"))
                photo = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
                taken = []
                for _ in range(options.repeats):
                    started = time.perf_counter()
                    distance = distance_to(photo, None)
                    prepared = time.perf_counter()
                    distance(np.clip(photo + np.float32(0.1), 0, 1))
                    taken.append((prepared - started, time.perf_counter() - prepared))
                of_photo, of_picture = map(min, zip(*taken, strict=True))
                print(
                    f"{name} {backbone} {size}: photo {of_photo:.2f} s, picture {of_picture:.2f} s"
                )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
