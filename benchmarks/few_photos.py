"""What each stage gains where photos are few: the whole pipeline on subsets of a dataset's photos.

    python benchmarks/few_photos.py DATASET --store STORE [--scenes A B] [--photos 4 6 9]
                                    [--subsets 3] [--config CONFIG.yaml] [--markdown TABLE.md]

From every scene 4, 6 and 9 training photos are taken, spread evenly over the photos with known
poses, each in three different ways; all other photos are held out. SfM runs once a scene. The table
gives means over held-out photos of base, control, refined and distilled, paired differences with
95 % intervals over the runs (a run's photos count as one value, since they are not independent),
the share of photos made worse, confidence, and the seconds of each stage. Runs that a store holds
already are recalled.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from flows.config import SceneConfig, overridden, read_config
from flows.settings import Settings, quiet_prefect
from storage.arrays import Store
from storage.errors import UnseenError
from storage.handles import ArrayHandle
from storage.metrics import read_table
from tasks.evaluate.gains import mean_interval

PAIRS = (("splat", "refine"), ("splat", "control"), ("control", "distil"), ("splat", "distil"))


def subset(names: Sequence[str], count: int, which: int, subsets: int) -> tuple[str, ...]:
    """``count`` names, evenly spread; each ``which`` begins elsewhere between two of them."""
    step = len(names) / count
    places = (np.arange(count) + (which + 0.5) / subsets) * step
    return tuple(names[int(place)] for place in places)


def run_subset(
    folder: Path, store: Store, config: SceneConfig, sizes: Sequence[int], which: int, subsets: int
) -> Iterator[str]:
    """Run one subset of each size of a scene; the names of the runs that completed."""
    from flows.scene import reconstruct_scene  # late: Prefect reads its settings when imported

    scene = folder.name
    first = overridden(config, {"stages": {"until": "sfm"}}, where="this benchmark")
    reconstruct_scene(str(folder), scene, f"{scene}-sfm", first)
    names = registered(store, f"{scene}-sfm")
    for size in sizes:
        if size >= len(names):
            continue
        photos = subset(names, size, which, subsets)
        split = {"split": {"kind": "train_on", "photos": photos}}
        run = f"{scene}-{size}-{which}"
        chosen = overridden(config, split, where="this benchmark")
        try:
            reconstruct_scene(str(folder), scene, run, chosen)
        except UnseenError as error:
            print(f"{run}: {error}", flush=True)
        else:
            yield run


def registered(store: Store, run: str) -> Sequence[str]:
    """Photos that have a pose, in the order of their names."""
    stages = read_table(store, "stages", run=run)
    row = stages[stages["stage"] == "sfm"].iloc[-1]
    return tuple(
        ArrayHandle(uri=row["uri"], kind="sparse", digest=row["digest"]).attributes["names"]
    )


def table(store: Store, runs: Sequence[str]) -> str:
    """Markdown: a row a scene and size, and one of all."""
    views = pd.concat([read_table(store, "views", run=run) for run in runs])
    views = views[views["split"] == "held_out"]
    confidence = pd.concat([read_table(store, "confidence", run=run) for run in runs])
    for frame in (views, confidence):
        frame["photos"] = frame["run"].str.split("-").str[-2].astype(int)
    header = ["scene", "photos", "views", "base", "control", "refined", "distilled"]
    header += [f"{after} - {before}" for before, after in PAIRS]
    header += ["refined worse", "Spearman", "AUSE"]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    groups = [
        ((scene, str(size)), part) for (scene, size), part in views.groupby(["scene", "photos"])
    ]
    groups += [(("all", str(size)), part) for size, part in views.groupby("photos")]
    groups.append((("all", "all"), views))
    for (scene, size), part in groups:
        trusted = confidence[confidence["run"].isin(part["run"])]
        lines.append(" | ".join(["| " + scene, size, *_cells(part, trusted)]) + " |")
    return "\n".join(lines) + "\n"


def _cells(views: pd.DataFrame, confidence: pd.DataFrame) -> Iterator[str]:
    psnr = views.pivot_table(index=["run", "view"], columns="stage", values="psnr_db")
    ssim = views.pivot_table(index=["run", "view"], columns="stage", values="ssim")
    yield str(len(psnr))
    for stage in ("splat", "control", "refine", "distil"):
        yield f"{psnr[stage].mean():.2f} / {ssim[stage].mean():.3f}" if stage in psnr else "-"
    for before, after in PAIRS:
        if before not in psnr or after not in psnr:
            yield "-"
            continue
        decibels = (psnr[after] - psnr[before]).groupby("run").mean()
        similarity = (ssim[after] - ssim[before]).groupby("run").mean()
        found = mean_interval(list(decibels))
        yield f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}] / {similarity.mean():+.3f}"
    yield f"{(psnr['refine'] < psnr['splat']).mean():.0%}" if "refine" in psnr else "-"
    yield f"{confidence['spearman'].mean():.2f}"
    yield f"{confidence['ause_over_random'].mean():.2f}"


def costs(store: Store, runs: Sequence[str]) -> str:
    """Markdown: seconds and memory of each stage, medians over the runs that computed it."""
    stages = pd.concat([read_table(store, "stages", run=run) for run in runs])
    computed = stages[~stages["cached"].astype(bool)]
    found = computed.groupby("stage")[["seconds", "peak_memory_mib"]].agg(["median", "max"])
    lines = ["| stage | seconds, median | longest | peak MiB |", "|---|---|---|---|"]
    for stage, row in found.iterrows():
        seconds, memory = row["seconds"], row["peak_memory_mib"]
        lines.append(
            f"| {stage} | {seconds['median']:.1f} | {seconds['max']:.1f} | {memory['max']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--store", required=True)
    parser.add_argument("--scenes", nargs="*")
    parser.add_argument("--photos", nargs="*", type=int, default=[4, 6, 9])
    parser.add_argument("--subsets", type=int, default=3)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    config = read_config(options.config) if options.config else SceneConfig()
    os.environ["UNSEEN_STORE"] = options.store
    store = Settings().open_store()
    runs: list[str] = []
    scenes = options.scenes or sorted(one.name for one in options.dataset.iterdir())
    for which in range(options.subsets):
        for name in scenes:
            folder = (options.dataset / name).absolute()
            runs += run_subset(folder, store, config, options.photos, which, options.subsets)
        text = f"{which + 1} of {options.subsets} subsets\n\n{table(store, runs)}\n"
        text += costs(store, runs)
        print(text, flush=True)
        if options.markdown:
            options.markdown.write_text(text)


if __name__ == "__main__":
    quiet_prefect()
    main()
