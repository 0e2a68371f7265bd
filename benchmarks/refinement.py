"""Gain of refined views with few photos, by refiner: before and after distillation.

    python benchmarks/refinement.py DATASET --store STORE [--arms reproject residual controlnet]
                                    [--scenes A B] [--photos 4 6] [--subsets 3]
                                    [--config CONFIG.yaml] [--markdown TABLE.md]
                                    [--json FIGURES.json] [--pictures FOLDER]

From every scene 4 and 6 training photos are taken, spread evenly over the photos with known poses,
each in three different ways; all other photos are held out. SfM runs once a scene, the splat and
its views once a subset, the refiner, distillation and the scores once an arm. An arm is a kind of
``refine.refiner``, with ``=WEIGHTS`` after it where it takes a file.

Compared in pairs, photo by photo: the splat's render, the mean render of it and its ensemble
(ensemble), and the mean of their refinements (refined); the fit continued without refined views
(the control) and with them (distilled), which is compared with the splat, too (overall), as the
control may be worse than that. A scene's gain is the mean over its held-out photos and subsets;
the mean and its 95 % interval are over scenes, by a bootstrap that draws scenes and, of each scene
drawn, its subsets. Runs that a store holds already are recalled.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from flows.config import SceneConfig, read_config
from flows.settings import Settings, configure_prefect
from storage.errors import UnseenError
from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tasks.config import overridden
from tasks.metrics.gains import clustered_interval

SCENES = ("fountain_p11", "entry_p10", "castle_p19", "sceaux", "monstree")
"""That no shipped refiner was trained on."""
PROTOCOL = {"splat": {"iterations": 1000, "max_size": 480}}
"""What differs from the default config, unless another is given."""
STEPS = {
    "control": ("splat", "control"),
    "ensemble": ("splat", "ensemble"),
    "refined": ("splat", "refine"),
    "distilled": ("control", "distil"),
    "overall": ("splat", "distil"),
}
"""What is compared: the stage before, and after."""
PICTURE_HEIGHT = 240
PICTURES_OF = ("splat", "ensemble", "refine", "control", "distil")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One arm on one subset of a scene's photos."""

    arm: str
    scene: str
    subset: str
    name: str


def subset(names: Sequence[str], count: int, which: int, subsets: int) -> tuple[str, ...]:
    """``count`` names, evenly spread; each ``which`` begins elsewhere between two of them."""
    step = len(names) / count
    places = (np.arange(count) + (which + 0.5) / subsets) * step
    return tuple(names[int(place)] for place in places)


def refiner_of(arm: str) -> dict[str, str]:
    """The fields of ``refine.refiner`` that an arm stands for."""
    kind, _, weights = arm.partition("=")
    return {"kind": kind, **({"weights": str(Path(weights).absolute())} if weights else {})}


def run_subset(
    folder: Path, store: Store, config: SceneConfig, photos: int, which: int, options: Any
) -> Iterator[Run]:
    """Run all arms on one subset of a scene; those that completed."""
    from flows.scene import reconstruct_scene  # late: Prefect reads its settings when imported

    scene = folder.name
    reconstruct_scene(
        str(folder),
        scene,
        f"{scene}-sfm",
        overridden(config, {"stages": {"until": "sfm"}}, where="this benchmark"),
    )
    names = registered(store, f"{scene}-sfm")
    if photos >= len(names):
        return
    chosen = subset(names, photos, which, options.subsets)
    for arm in options.arms:
        changes = {
            "split": {"kind": "train_on", "photos": chosen},
            "refine": {"refiner": refiner_of(arm)},
        }
        run = f"{scene}-{photos}-{which}-{Path(arm).stem}"
        try:
            reconstruct_scene(
                str(folder), scene, run, overridden(config, changes, where="this benchmark")
            )
        except UnseenError as error:
            print(f"{run}: {error}", flush=True)
        else:
            yield Run(arm=arm, scene=scene, subset=f"{photos}-{which}", name=run)


def registered(store: Store, run: str) -> Sequence[str]:
    """Photos that have a pose, in the order of their names."""
    row = stage_row(store, run, "sfm")
    handle = ArrayHandle(uri=row["uri"], kind="sparse", digest=row["digest"])
    return tuple(handle.attributes["names"])


def stage_row(store: Store, run: str, stage: str) -> Mapping[str, Any]:
    """The last row of a stage of a run."""
    stages = read_table(store, "stages", run=run)
    return {str(name): value for name, value in stages[stages["stage"] == stage].iloc[-1].items()}


def scores_of(store: Store, runs: Sequence[Run]) -> pd.DataFrame:
    """A row for each arm, scene, subset and held-out view, a column for each metric and stage."""
    frames = []
    for run in runs:
        views = read_table(store, "views", run=run.name)
        frames.append(views[views["split"] == "held_out"].assign(arm=run.arm, subset=run.subset))
    metrics = [name for name in ("psnr_db", "ssim", "lpips") if name in frames[0]]
    index = ["arm", "scene", "subset", "view"]
    table = pd.concat(frames).pivot_table(index=index, columns="stage", values=metrics)
    return table.dropna(axis="columns", how="all")


def gains_of(scores: pd.DataFrame, step: str, metric: str) -> "pd.Series[float]":
    """Of every held-out photo that both stages show, which may be none; for LPIPS, too, more is
    better."""
    before, after = STEPS[step]
    if not {(metric, before), (metric, after)} <= set(scores.columns):
        return pd.Series(dtype=float)
    sign = -1 if metric == "lpips" else 1
    return (sign * (scores[metric, after] - scores[metric, before])).dropna()


def scene_means(gains: "pd.Series[float]") -> "pd.Series[float]":
    """The mean gain of each scene, its subsets counting alike."""
    return gains.groupby(["scene", "subset"]).mean().groupby("scene").mean()


def figures_of(scores: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """By arm and step: gains, intervals, shares and counts, JSON-able."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for arm, of_arm in scores.groupby("arm"):
        for step in STEPS:
            decibels = gains_of(of_arm, step, "psnr_db")
            if decibels.empty:
                continue
            means = scene_means(decibels)
            by_subset = decibels.groupby(["scene", "subset"]).mean()
            found_interval = clustered_interval(
                [part.tolist() for _, part in by_subset.groupby("scene")]
            )
            figures: dict[str, Any] = {
                "views": len(decibels),
                "psnr_db": found_interval.mean,
                "low": found_interval.low,
                "high": found_interval.high,
                "scenes_better": int((means > 0).sum()),
                "worst_scene": str(means.idxmin()),
                "worst_scene_psnr_db": float(means.min()),
                "share_worse": float((decibels < 0).mean()),
                "scenes": {str(scene): float(gain) for scene, gain in means.items()},
            }
            for metric in ("ssim", "lpips"):
                if metric in scores:
                    figures[metric] = float(scene_means(gains_of(of_arm, step, metric)).mean())
            found.setdefault(str(arm), {})[step] = figures
    return found


def table(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Markdown: a row an arm and step."""
    titles = ["arm", "step", "views", "PSNR, dB", "SSIM", "views worse", "scenes better"]
    scenes = sorted(
        {scene for steps in figures.values() for one in steps.values() for scene in one["scenes"]}
    )
    lines = ["| " + " | ".join([*titles, *scenes]) + " |", "|---" * (7 + len(scenes)) + "|"]
    for arm, steps in figures.items():
        for step, one in steps.items():
            cells = [
                Path(arm).stem,
                step,
                str(one["views"]),
                f"{one['psnr_db']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]",
                f"{one['ssim']:+.3f}",
                f"{one['share_worse']:.0%}",
                f"{one['scenes_better']} of {len(one['scenes'])}",
                *(f"{one['scenes'].get(scene, np.nan):+.2f}" for scene in scenes),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def costs(store: Store, runs: Sequence[Run]) -> str:
    """Markdown: seconds and memory of each stage, medians over the runs that computed it."""
    stages = pd.concat(
        [read_table(store, "stages", run=run.name).assign(arm=run.arm) for run in runs]
    )
    computed = stages[~stages["cached"].astype(bool)]
    lines = ["| stage | arm | seconds, median | longest | peak MiB |", "|---|---|---|---|---|"]
    for stage, of_stage in computed.groupby("stage"):
        for arm, part in of_stage.groupby("arm"):
            seconds, memory = part["seconds"], part["peak_memory_mib"]
            lines.append(
                f"| {stage} | {Path(str(arm)).stem} | {seconds.median():.1f} | "
                f"{seconds.max():.1f} | {memory.max():.0f} |"
            )
    return "\n".join(lines) + "\n"


def draw_pictures(store: Store, runs: Sequence[Run], scores: pd.DataFrame, folder: Path) -> None:
    """A sheet of pictures for every arm.

    Of each scene: the views of lowest, median and highest gain by refinement, beside the photo and
    the pictures of the other stages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name_of = {(run.arm, run.scene, run.subset): run.name for run in runs}
    for arm, of_arm in scores.groupby("arm"):
        rows = []
        for _, gains in gains_of(of_arm, "refined", "psnr_db").groupby("scene"):
            ordered = gains.sort_values()
            for place in sorted({0, len(ordered) // 2, len(ordered) - 1}):
                _, scene, which, view = ordered.index[place]
                row = stage_row(store, name_of[str(arm), scene, which], "evaluate")
                handle = ArrayHandle(uri=row["uri"], kind="evaluation", digest=row["digest"])
                rows.append(picture_row(handle, f"{scene} {which}", view))
        sheet = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), "white")
        top = 0
        for picture in rows:
            sheet.paste(picture, (0, top))
            top += picture.height
        sheet.save(folder / f"{Path(str(arm)).stem}.jpg", quality=85)


def picture_row(evaluation: ArrayHandle, title: str, view: str) -> Image.Image:
    """The photo, and beside it what each stage shows from there."""
    attributes = evaluation.attributes
    number = attributes["rendered"].index(view)
    psnr_db = {row["stage"]: row["psnr_db"] for row in attributes["views"] if row["view"] == view}
    stages = [stage for stage in PICTURES_OF if stage in psnr_db]
    pictures = [("photo", f"{title} {view}")]
    pictures += [(stage, f"{stage} {psnr_db[stage]:.2f} dB") for stage in stages]
    tiles = []
    for stage, label in pictures:
        image = Image.fromarray(evaluation.array(f"{stage}_{number:04d}"))
        width = round(image.width * PICTURE_HEIGHT / image.height)
        tile = Image.new("RGB", (width + 4, PICTURE_HEIGHT + 18), "white")
        tile.paste(image.resize((width, PICTURE_HEIGHT), Image.Resampling.LANCZOS), (0, 16))
        ImageDraw.Draw(tile).text((2, 2), label, "black")
        tiles.append(tile)
    row = Image.new("RGB", (sum(tile.width for tile in tiles), tiles[0].height), "white")
    left = 0
    for tile in tiles:
        row.paste(tile, (left, 0))
        left += tile.width
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--store", required=True)
    parser.add_argument("--arms", nargs="+", default=["reproject", "residual", "controlnet"])
    parser.add_argument("--scenes", nargs="+", default=SCENES)
    parser.add_argument("--photos", nargs="+", type=int, default=[4, 6])
    parser.add_argument("--subsets", type=int, default=3)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    if options.config:
        config = read_config(options.config)
    else:
        config = overridden(SceneConfig(), PROTOCOL, where="this benchmark")
    os.environ["UNSEEN_STORE"] = options.store
    store = Settings().open_store()
    runs: list[Run] = []
    for which in range(options.subsets):
        for name in options.scenes:
            for photos in options.photos:
                folder = (options.dataset / name).absolute()
                runs += run_subset(folder, store, config, photos, which, options)
        scores = scores_of(store, runs)
        figures = figures_of(scores)
        text = f"{which + 1} of {options.subsets} subsets\n\n{table(figures)}\n{costs(store, runs)}"
        print(text, flush=True)
        if options.markdown:
            options.markdown.write_text(text)
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1))
    if options.pictures:
        draw_pictures(store, runs, scores, options.pictures)


if __name__ == "__main__":
    configure_prefect()
    main()
