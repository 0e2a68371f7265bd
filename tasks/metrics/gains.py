"""Gain of a stage: paired differences of scores on the same held-out photos."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95
DRAWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """One held-out photo before and after; positive is better."""

    view: str
    psnr_db: float
    ssim: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def paired_gains(rows: Iterable[Mapping[str, Any]], *, before: str, after: str) -> tuple[Gain, ...]:
    """Differences of all held-out views that both stages have a score of.

    Args:
        rows: of the table ``views``.
    """
    scores: dict[str, dict[str, Mapping[str, Any]]] = {before: {}, after: {}}
    for row in rows:
        if row["split"] == "held_out" and row["stage"] in scores:
            scores[row["stage"]][row["view"]] = row
    return tuple(
        Gain(
            view=view,
            psnr_db=row["psnr_db"] - scores[before][view]["psnr_db"],
            ssim=row["ssim"] - scores[before][view]["ssim"],
        )
        for view, row in scores[after].items()
        if view in scores[before]
    )


def share_worse(gains: Sequence[Gain]) -> float:
    """Fraction of the views whose PSNR decreased."""
    return float(np.mean([gain.psnr_db < 0 for gain in gains]))


def clustered_interval(clusters: Sequence[Sequence[float]], *, seed: int = 0) -> Interval:
    """The mean of the clusters' means, and its bootstrap interval.

    Values of one cluster, such as photos of a scene, are not independent: each draw takes clusters
    with replacement, and of each of them its values with replacement.

    Raises:
        ValueError: no values.

    Source: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
    """
    if not clusters or not all(len(cluster) for cluster in clusters):
        raise ValueError("no values have no mean")
    generator = np.random.default_rng(seed)
    values = [np.asarray(cluster) for cluster in clusters]
    # Of each cluster as many draws as there may be of it in all, taken in turn.
    count = len(values)
    drawn = generator.integers(count, size=(DRAWS, count))
    totals = np.zeros(DRAWS)
    for index, cluster in enumerate(values):
        times = (drawn == index).sum(1)
        members = generator.integers(len(cluster), size=(int(times.sum()), len(cluster)))
        np.add.at(totals, np.repeat(np.arange(DRAWS), times), cluster[members].mean(1))
    low, high = np.quantile(totals / count, (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2))
    mean = float(np.mean([cluster.mean() for cluster in values]))
    return Interval(mean=mean, low=float(low), high=float(high))
