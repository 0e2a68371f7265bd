"""What a step gained: the same held-out photos before and after it, compared in pairs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """One held-out photo before and after; positive is better."""

    view: str
    psnr_db: float
    ssim: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with its 95 % confidence interval; no width where there is one value alone."""

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
    """Share of the views whose PSNR fell."""
    return float(np.mean([gain.psnr_db < 0 for gain in gains]))


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean and Student's interval about it.

    Views of one scene are not independent, so over scenes give it each scene's mean.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no values have no mean")
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean=mean, low=mean, high=mean)
    from scipy import stats  # late: a second to import, and only this asks for it

    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = error * float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1))
    return Interval(mean=mean, low=mean - reach, high=mean + reach)
