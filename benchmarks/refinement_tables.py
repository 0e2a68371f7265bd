"""Figures and tables of ``refinement.py``, from the scores of held-out photos."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.metrics.gains import clustered_interval

METRICS = ("psnr_db", "ssim", "st_lpips", "lpips", "edge_energy")
TITLES = {
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "st_lpips": "ST-LPIPS",
    "lpips": "LPIPS",
    "edge_energy": "edges",
}
DEVELOPMENT = ("fountain_p11", "entry_p10", "castle_p19", "sceaux", "monstree")
"""Scenes that were looked at while methods and defaults were chosen."""
FIRST_UNSEEN_SEED = 1_000_000
"""Random scenes of larger seeds were never trained on, tuned on or looked at."""
TUNED = {
    "development scenes": "method, defaults and number of ensemble members were chosen with these "
    "scenes in sight; no refiner was trained on them",
    "never seen": "nothing was trained on, tuned on or looked at on these scenes",
    "training scenes or others": "random scenes of small seeds, of which refiners were trained on "
    "some",
    "the reader's scenes": "nothing was tuned on these scenes, unless the reader did",
}
"""By group of scenes, for the line below a table."""
STILL_LONGER = "still longer"
INDEX = ["scene", "photos", "which", "seed", "view"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Two pictures of the same poses that are compared."""

    name: str
    before: str
    after: str


def steps_of(arms: Sequence[str]) -> list[Step]:
    """Comparisons, by the names of pictures; those of refiners for each arm that is one."""
    found = [
        Step(name="ensemble's mean over splat", before="splat", after="ensemble"),
        Step(name="longer fit over splat", before="splat", after="longer"),
        Step(name="ensemble's mean over longer fit", before="longer", after="ensemble"),
        Step(name="control over splat", before="splat", after="control"),
    ]
    for arm in arms:
        refined, distilled = f"{arm} refined", f"{arm} distilled"
        if arm != "mean":  # whose refined views are the ensemble's mean
            found += [
                Step(name=f"{refined} over splat", before="splat", after=refined),
                Step(name=f"{refined} over longer fit", before="longer", after=refined),
                Step(name=f"{refined} over ensemble's mean", before="ensemble", after=refined),
            ]
        found += [
            Step(name=f"{distilled} over control", before="control", after=distilled),
            Step(name=f"{distilled} over splat", before="splat", after=distilled),
            Step(name=f"{distilled} over still longer fit", before=STILL_LONGER, after=distilled),
        ]
        if arm != "mean":
            step = f"{distilled} over mean distilled"
            found.append(Step(name=step, before="mean distilled", after=distilled))
    return found


def group_of(scene: str) -> str:
    """What is known of a scene: a key of ``TUNED``."""
    if scene in DEVELOPMENT:
        return "development scenes"
    if seed := re.fullmatch(r"random_(\d+)", scene):
        unseen = int(seed[1]) > FIRST_UNSEEN_SEED
        return "never seen" if unseen else "training scenes or others"
    return "the reader's scenes"


def score_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each draw and held-out photo, a column for each metric and picture.

    Args:
        rows: with the columns ``INDEX``, ``picture`` and metrics; several of one photo and picture
            are the same picture in several arms.
    """
    metrics = [name for name in METRICS if name in rows]
    table = rows.pivot_table(index=INDEX, columns="picture", values=metrics)
    return table.dropna(axis="columns", how="all")


def differences(scores: pd.DataFrame, step: Step, metric: str) -> "pd.Series[float]":
    """After minus before, of every photo of which both pictures are; may be empty."""
    if not {(metric, step.before), (metric, step.after)} <= set(scores.columns):
        return pd.Series(dtype=float)
    return (scores[metric, step.after] - scores[metric, step.before]).dropna()


def scene_means(values: "pd.Series[float]") -> "pd.Series[float]":
    """Of each scene, its draws (training photos and seeds) counting alike."""
    return values.groupby(["scene", "photos", "which", "seed"]).mean().groupby("scene").mean()


def photos_in(values: "pd.Series[float]") -> int:
    """Different photos: one that is held out in several draws counts once."""
    return len(
        set(zip(*(values.index.get_level_values(n) for n in ("scene", "view")), strict=True))
    )


def figures_of(scores: pd.DataFrame, arms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By step: the interval of each metric over scenes, shares and counts; JSON-able."""
    found: dict[str, dict[str, Any]] = {}
    for step in steps_of(arms):
        decibels = differences(scores, step, "psnr_db")
        if decibels.empty:
            continue
        means = scene_means(decibels)
        of_photo = (decibels < 0).groupby(["scene", "view"]).mean()
        found[step.name] = {
            "photos": photos_in(decibels),
            "draws": int(decibels.groupby(["scene", "photos", "which", "seed"]).ngroups),
            "share_worse": float(of_photo.mean()),
            "scenes_better": int((means > 0).sum()),
            "scenes": {str(scene): float(gain) for scene, gain in means.items()},
            "seeds": {
                str(seed): float(scene_means(part).mean())
                for seed, part in decibels.groupby("seed")
            },
            "metrics": {
                metric: asdict(clustered_interval([[mean] for mean in scene_means(gains)]))
                for metric in METRICS
                if not (gains := differences(scores, step, metric)).empty
            },
        }
    return found


def gain_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row a step, a column a metric and a scene."""
    if not figures:
        return ""
    metrics = [m for m in METRICS if any(m in one["metrics"] for one in figures.values())]
    scenes = sorted({scene for one in figures.values() for scene in one["scenes"]})
    seeds = sorted({seed for one in figures.values() for seed in one["seeds"]})
    titles = ["gain", "photos", *(TITLES[metric] for metric in metrics)]
    titles += ["photos worse", "scenes better", *scenes]
    titles += [f"seed {seed}" for seed in seeds] if len(seeds) > 1 else []
    lines = [_line(titles), _line(["---"] * len(titles))]
    for name, one in figures.items():
        cells = [name, str(one["photos"])]
        cells += [_interval(metric, one["metrics"].get(metric)) for metric in metrics]
        cells += [f"{one['share_worse']:.0%}", f"{one['scenes_better']} of {len(one['scenes'])}"]
        cells += [f"{one['scenes'].get(scene, np.nan):+.2f}" for scene in scenes]
        if len(seeds) > 1:
            cells += [f"{one['seeds'].get(seed, np.nan):+.2f}" for seed in seeds]
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def level_table(scores: pd.DataFrame) -> str:
    """Markdown: a row a picture, with the mean over scenes of each metric, and its PSNR over those
    of the splat and of the ensemble's mean: that of refined views is the refiner's own gain.

    Of the photos that all pictures are of.
    """
    scores = scores[scores["psnr_db"].notna().all(axis="columns")]
    metrics = [metric for metric in METRICS if metric in scores]
    titles = ["picture", "photos", *(TITLES[metric] for metric in metrics)]
    titles += ["over splat, dB", "over ensemble's mean, dB"]
    lines = [_line(titles), _line(["---"] * len(titles))]
    for picture in _in_order(scores):
        cells = [picture, str(photos_in(scores["psnr_db", picture].dropna()))]
        for metric in metrics:
            values = scores.get((metric, picture), pd.Series(dtype=float)).dropna()
            cells.append(_level(metric, float(scene_means(values).mean())) if len(values) else "-")
        for base in ("splat", "ensemble"):
            gains = differences(scores, Step(name="", before=base, after=picture), "psnr_db")
            same = base == picture or gains.empty
            cells.append("-" if same else f"{scene_means(gains).mean():+.2f}")
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _in_order(scores: pd.DataFrame) -> Iterator[str]:
    pictures = set(scores["psnr_db"].columns)
    first = ("splat", "longer", STILL_LONGER, "ensemble", "control")
    yield from (picture for picture in first if picture in pictures)
    yield from sorted(pictures - set(first))


def _interval(metric: str, found: Mapping[str, float] | None) -> str:
    if found is None:
        return "-"
    show = (lambda v: f"{v:+.2f}") if metric == "psnr_db" else (lambda v: f"{v:+.3f}")
    if metric == "edge_energy":
        show = lambda v: f"{100 * v:+.0f} %"  # noqa: E731
    if np.isnan(found["low"]):
        return f"{show(found['mean'])} (one scene)"
    return f"{show(found['mean'])} [{show(found['low'])}, {show(found['high'])}]"


def _level(metric: str, value: float) -> str:
    if metric == "psnr_db":
        return f"{value:.2f}"
    return f"{value:.0%}" if metric == "edge_energy" else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
