"""Held-out quality of the default splat against the plain recipe, and what it costs.

    python benchmarks/recipes.py DATASET --store STORE [--scenes A B] [--offsets 0 2 4 6]
                                 [--config CONFIG.yaml] [--markdown TABLE.md] [--json FIGURES.json]

Of every scene each 8th photo is held out, from four different first ones, and a splat is fitted to
the others twice, one fit after the other: by the plain recipe (triangulated points, gsplat's
default strategy, nothing else) and by the default config. Iterations and size are the same. PSNR
and the others are those of raw renders. The interval is Student's, over scenes. Runs that a store
holds already are recalled, with the seconds they took then.
"""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from flows.config import SceneConfig, read_config
from flows.settings import Settings, configure_prefect
from storage.errors import UnseenError
from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tasks.config import overridden
from tasks.metrics.gains import clustered_interval

PLAIN = {
    "init": {"kind": "points"},
    "densify": {"kind": "default", "gradient": 2e-4},
    "background": False,
    "depth_weight": 0.0,
    "max_relative_scale": None,
}
"""Kerbl et al., SIGGRAPH 2023, but for opacity resets, which short runs do not survive."""

METRICS = {
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "st_lpips": "ST-LPIPS, less is better",
    "edge_energy": "Edge energy, share of the photo's",
}


def run_pair(
    folder: Path, config: SceneConfig, offset: int, count: int
) -> Iterator[tuple[str, str, int]]:
    """Run both recipes of one split; recipe, run and offset of those that completed."""
    from flows.scene import reconstruct_scene  # late: Prefect reads its settings when imported

    scene = folder.name
    for recipe, splat in (("plain", PLAIN), ("default", {})):
        chosen = overridden(
            config,
            {
                "split": {"kind": "every_nth", "n": count, "offset": offset, "validation": 0},
                "stages": {"without": ["views", "refine", "distil"]},
                "splat": splat,
            },
            where="this benchmark",
        )
        run = f"{scene}-{recipe}-{offset}"
        try:
            reconstruct_scene(str(folder), scene, run, chosen)
        except UnseenError as error:
            print(f"{run}: {error}", flush=True)
        else:
            yield recipe, run, offset


def scores(store: Store, runs: Sequence[tuple[str, str, int]]) -> pd.DataFrame:
    """A row a held-out photo and split: scene, and the metrics of both recipes."""
    frames = []
    for recipe, run, offset in runs:
        views = read_table(store, "views", run=run)
        views = views[(views["split"] == "held_out") & (views["stage"] == "splat")]
        frames.append(views.assign(recipe=recipe, offset=offset))
    table = pd.concat(frames).pivot_table(
        index=["scene", "offset", "view"],
        columns="recipe",
        values=[name for name in METRICS if views[name].notna().any()],
    )
    return table.dropna()


def costs(store: Store, runs: Sequence[tuple[str, str, int]]) -> pd.DataFrame:
    """A row a split: seconds, Gaussians and peak memory of both recipes' splat stage."""
    rows = []
    for recipe, run, offset in runs:
        stages = read_table(store, "stages", run=run)
        row = stages[stages["stage"] == "splat"].iloc[-1]
        handle = ArrayHandle(uri=row["uri"], kind="splat", digest=row["digest"])
        rows.append(
            {
                "scene": row["scene"],
                "offset": offset,
                "recipe": recipe,
                "seconds": row["seconds"],
                "memory_mib": row["peak_memory_mib"],
                "gaussians": handle.attributes["gaussians"] - handle.attributes["num_background"],
            }
        )
    return pd.DataFrame(rows).pivot_table(
        index=["scene", "offset"],
        columns="recipe",
        values=["seconds", "memory_mib", "gaussians"],
    )


def table(views: pd.DataFrame, cost: pd.DataFrame) -> str:
    """Markdown: a row a scene, and one of all."""
    lines = [
        "| scene | photos | plain | default | gain, dB | SSIM | seconds | ratio | Gaussians |",
        "|---" * 9 + "|",
    ]
    for scene, part in views.groupby("scene"):
        lines.append(_row(str(scene), part, cost.loc[[scene]]))
    lines.append(_row("all", views, cost))
    for name in views.columns.get_level_values(0).unique():
        gains = views[name]["default"] - views[name]["plain"]
        found = clustered_interval([part.tolist() for _, part in gains.groupby("scene")])
        interval = f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        lines.append(f"\n{METRICS[name]}: {interval} (mean over scenes)")
    return "\n".join(lines) + "\n"


def _gains(views: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    psnr, ssim = (views[name]["default"] - views[name]["plain"] for name in ("psnr_db", "ssim"))
    return psnr, ssim


def _row(name: str, views: pd.DataFrame, cost: pd.DataFrame) -> str:
    psnr, ssim = _gains(views)
    seconds, gaussians = cost["seconds"], cost["gaussians"]
    by_scene = psnr.groupby("scene").mean(), ssim.groupby("scene").mean()
    both = [
        f"{views['psnr_db'][recipe].mean():.2f} / {views['ssim'][recipe].mean():.3f}"
        for recipe in ("plain", "default")
    ]
    cells = [
        name,
        str(len(views)),
        *both,
        f"{by_scene[0].mean():+.2f}",
        f"{by_scene[1].mean():+.3f}",
        f"{seconds['plain'].mean():.0f} / {seconds['default'].mean():.0f}",
        f"{(seconds['default'] / seconds['plain']).median():.2f}",
        f"{gaussians['plain'].mean() / 1000:.0f}k / {gaussians['default'].mean() / 1000:.0f}k",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--store", required=True)
    parser.add_argument("--scenes", nargs="*")
    parser.add_argument("--offsets", nargs="*", type=int, default=[0, 2, 4, 6])
    parser.add_argument("--every", type=int, default=8, help="one photo of so many is held out")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    config = read_config(options.config) if options.config else SceneConfig()
    os.environ["UNSEEN_STORE"] = options.store
    store = Settings().open_store()
    runs: list[tuple[str, str, int]] = []
    scenes = options.scenes or sorted(one.name for one in options.dataset.iterdir())
    for offset in options.offsets:
        for name in scenes:
            folder = (options.dataset / name).absolute()
            runs += run_pair(folder, config, offset, options.every)
        views, cost = scores(store, runs), costs(store, runs)
        text = table(views, cost)
        print(f"offsets up to {offset}\n\n{text}", flush=True)
        if options.markdown:
            options.markdown.write_text(text)
        if options.json:
            figures = views.join(cost)
            figures.columns = ["_".join(column) for column in figures.columns]
            options.json.write_text(json.dumps(figures.reset_index().to_dict("records"), indent=1))


if __name__ == "__main__":
    configure_prefect()
    main()
