"""Gain of refined views with few photos, before and after distillation, at equal compute.

    python benchmarks/refinement.py DATASET --store STORE [--arms residual mean longer]
                                    [--scenes A B] [--photos 4 6] [--subsets 3] [--seeds 1]
                                    [--config CONFIG.yaml] [--markdown TABLE.md]
                                    [--json FIGURES.json] [--pictures FOLDER]

From every scene of the dataset 4 and 6 training photos are taken, spread evenly over the photos
with known poses, each in three different ways; all other photos are held out. Everything else is
the shipped config, at its iterations and size; what ``--config`` changes is printed above the
tables. A draw is one choice of training photos, fitted with one seed of splats and distillation.
Draws of photos differ more than seeds do, so by default each has the one seed; ``--seeds 3`` fits
each of them three times, and the tables show every seed's mean.

Pictures of held-out poses that are compared, photo by photo:

- splat: the fit; ensemble: mean render of it and the ensemble, without a refiner; control: the fit
  continued with photos alone.
- for each arm that is a refiner (a kind of ``refine.refiner``, with ``=WEIGHTS`` after it where it
  takes a file): refined and distilled. The arm ``mean`` has no refiner, and distils the
  ensemble's mean.
- of the arm ``longer``, equal compute: one splat of as many iterations as splat and ensemble have
  together (longer), and of as many as these and the distillation (still longer).

A scene's gain is the mean over its draws of the mean over their held-out photos; means and 95 %
intervals are over scenes (Student's). A photo that is held out in several draws counts once among
the photos, and with the share of its draws among those that became worse. Scenes are in groups by
what has been done with them, each with its tables. Runs that a store holds already are recalled.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from draws import subset
from refinement_pictures import draw_pictures
from refinement_tables import (
    METRICS,
    TUNED,
    figures_of,
    gain_table,
    group_of,
    level_table,
    score_table,
)

from flows.config import SceneConfig, read_config
from flows.runs.manifest import SceneEntry, find_scenes
from flows.settings import Settings, configure_prefect
from storage.errors import UnseenError
from storage.handles import ArrayHandle
from storage.metrics import read_table
from storage.store import Store
from tasks.config import overridden

LONGER = "longer"
SEEDS_APART = 1000
"""Between the seeds of two fits, since those of an ensemble's members follow the splat's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One choice of a scene's training photos, and a seed."""

    scene: str
    photos: int
    which: int
    seed: int

    def name(self, arm: str) -> str:
        seed = f"-seed{self.seed}" if self.seed else ""
        return f"{self.scene}-{self.photos}-{self.which}{seed}-{Path(arm).stem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One arm on one draw."""

    arm: str
    draw: Draw
    name: str
    pictures: Mapping[str, str]
    """What the pictures of its stages are called in tables."""


def seeded(config: SceneConfig, seed: int) -> dict[str, Any]:
    """The changes that give a fit other chances; nothing for the seed 0."""
    further = seed * SEEDS_APART
    return {
        "splat": {"seed": config.splat.seed + further},
        "distil": {"seed": config.distil.seed + further},
    }


def changes_of(
    config: SceneConfig, arm: str, photos: int
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, str]]]:
    """The runs of an arm: name, changes of the config, and what the pictures are called."""
    if arm != LONGER:
        kind, _, weights = arm.partition("=")
        refiner = {"kind": kind, **({"weights": str(Path(weights).absolute())} if weights else {})}
        called = {"splat": "splat", "ensemble": "ensemble", "control": "control"}
        title = Path(arm).stem
        called |= {"distil": f"{title} distilled"}
        called |= {} if title == "mean" else {"refine": f"{title} refined"}
        yield title, {"refine": {"refiner": refiner}}, called
        return
    fits = 1 + len(config.ensemble_splats(photos))
    alone = {"stages": {"without": ["ensemble", "views", "refine", "distil"]}}
    iterations = fits * config.splat.iterations
    yield LONGER, alone | {"splat": {"iterations": iterations}}, {"splat": LONGER}
    iterations += config.distil.iterations
    yield "still-longer", alone | {"splat": {"iterations": iterations}}, {"splat": "still longer"}


def run_draw(
    entry: SceneEntry, store: Store, draw: Draw, arms: Sequence[str], subsets: int
) -> Iterator[Run | str]:
    """Run all arms on one draw of a scene; those that completed, and why others did not."""
    from flows.scene import reconstruct_scene  # late: Prefect reads its settings when imported

    sfm = f"{draw.scene}-sfm"
    # Of all photos, so that both protocols draw the same ones.
    until = {"stages": {"until": "sfm"}, "protocol": "shared-poses"}
    reconstruct_scene(entry.folder, draw.scene, sfm, changed(entry.config, until))
    names = registered(store, sfm)
    if draw.photos >= len(names):
        return
    chosen = {"kind": "train_on", "photos": subset(names, draw.photos, draw.which, subsets)}
    config = changed(entry.config, {"split": chosen}, seeded(entry.config, draw.seed))
    for arm in arms:
        for title, changes, pictures in changes_of(config, arm, draw.photos):
            name = draw.name(title)
            try:
                reconstruct_scene(entry.folder, draw.scene, name, changed(config, changes))
            except UnseenError as error:
                yield f"{name}: {error}"
            else:
                yield Run(arm=arm, draw=draw, name=name, pictures=pictures)


def changed(config: SceneConfig, *changes: Mapping[str, Any]) -> SceneConfig:
    for one in changes:
        config = overridden(config, one, where="this benchmark")
    return config


def registered(store: Store, run: str) -> Sequence[str]:
    """Photos that have a pose, in the order of their names."""
    stages = read_table(store, "stages", run=run)
    row = stages[stages["stage"] == "sfm"].iloc[-1]
    handle = ArrayHandle(uri=row["uri"], kind="sparse", digest=row["digest"])
    return tuple(handle.attributes["names"])


def scores_of(store: Store, runs: Sequence[Run]) -> pd.DataFrame:
    """See :func:`refinement_tables.score_table`."""
    frames = []
    for run in runs:
        views = read_table(store, "views", run=run.name)
        views = views[(views["split"] == "held_out") & views["stage"].isin(list(run.pictures))]
        draw = run.draw
        frames.append(
            views.assign(
                picture=views["stage"].map(dict(run.pictures)),
                **{"scene": draw.scene, "photos": draw.photos, "which": draw.which},
                seed=draw.seed,
            )
        )
    rows = pd.concat(frames)
    return score_table(rows.astype({name: float for name in METRICS if name in rows}))


def costs(store: Store, runs: Sequence[Run]) -> str:
    """Markdown: seconds and memory of each stage, medians over the runs that computed it."""
    stages = pd.concat(
        [
            read_table(store, "stages", run=run.name).assign(arm=", ".join(run.pictures.values()))
            for run in runs
        ]
    )
    computed = stages[~stages["cached"].astype(bool)]
    lines = ["| stage | pictures | seconds, median | longest | peak MiB |", "|---|---|---|---|---|"]
    for stage, of_stage in computed.groupby("stage"):
        for arm, part in of_stage.groupby("arm"):
            seconds, memory = part["seconds"], part["peak_memory_mib"]
            lines.append(
                f"| {stage} | {arm} | {seconds.median():.1f} | "
                f"{seconds.max():.1f} | {memory.max():.0f} |"
            )
    return "\n".join(lines) + "\n"


def departures(config: SceneConfig) -> str:
    """What differs from the shipped config, as a sentence."""

    def differing(one: Mapping[str, Any], shipped: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, value in one.items():
            other = shipped.get(name)
            if isinstance(value, dict) and isinstance(other, dict):
                value = differing(value, other)
                if value:
                    found[name] = value
            elif value != other:
                found[name] = value
        return found

    found = differing(config.model_dump(mode="json"), SceneConfig().model_dump(mode="json"))
    if not found:
        return "The shipped config, at its iterations and size."
    shown = yaml.safe_dump(found, default_flow_style=True, width=1000).strip()
    return f"Not the shipped config, but with `{shown}`."


def report(
    store: Store,
    runs: Sequence[Run],
    failures: Sequence[str],
    arms: Sequence[str],
    config: SceneConfig,
) -> tuple[str, dict[str, Any]]:
    """All tables as markdown, and the figures by group of scenes."""
    text, figures = f"{departures(config)}\n", {}
    refiners = [Path(arm).stem for arm in arms if arm != LONGER]
    groups = {group_of(run.draw.scene) for run in runs}
    for group in sorted(groups, key=list(TUNED).index):
        own = [run for run in runs if group_of(run.draw.scene) == group]
        scores = scores_of(store, own)
        figures[group] = figures_of(scores, refiners)
        scenes = sorted({run.draw.scene for run in own})
        text += f"\n## {group.capitalize()}\n\nScenes: {', '.join(scenes)}. Tuned on: "
        text += f"{TUNED[group]}.\n\n{level_table(scores)}\n{gain_table(figures[group])}"
    if failures:
        text += "\nNot in the tables:\n\n" + "".join(f"- {failure}\n" for failure in failures)
    return f"{text}\n{costs(store, runs)}", figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--store", required=True)
    parser.add_argument("--arms", nargs="+", default=["residual", "mean", LONGER])
    parser.add_argument("--scenes", nargs="+", default=[], help="default: all of the dataset")
    parser.add_argument("--photos", nargs="+", type=int, default=[4, 6])
    parser.add_argument("--subsets", type=int, default=3, help="choices of training photos")
    parser.add_argument("--seeds", type=int, default=1, help="fits of each of them")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    config = read_config(options.config) if options.config else SceneConfig()
    os.environ["UNSEEN_STORE"] = options.store
    settings = Settings()
    store = settings.open_store()
    entries = find_scenes(options.dataset, config, options.scenes, roots=settings.roots())
    runs: list[Run] = []
    failures: list[str] = []
    for seed, which in ((s, w) for s in range(options.seeds) for w in range(options.subsets)):
        for entry in entries:
            if entry.error:
                raise entry.error
            for photos in options.photos:
                draw = Draw(scene=entry.name, photos=photos, which=which, seed=seed)
                ended = list(run_draw(entry, store, draw, options.arms, options.subsets))
                runs += [one for one in ended if isinstance(one, Run)]
                failures += [one for one in ended if isinstance(one, str)]
        text, figures = report(store, runs, failures, options.arms, config)
        text = f"Draw {which + 1} of {options.subsets}, seed {seed + 1} of {options.seeds}. {text}"
        print(text, flush=True)
        if options.markdown:
            options.markdown.write_text(text)
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1))
    if options.pictures:
        draw_pictures(store, runs, scores_of(store, runs), options.pictures)


if __name__ == "__main__":
    configure_prefect()
    main()
