"""Calibration of confidence: whether it orders pixels by their error."""

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata


def spearman(confidence: Float[np.ndarray, "..."], error: Float[np.ndarray, "..."]) -> float:
    """Rank correlation of doubt (minus confidence) with error; 1 where doubt orders the errors.

    Ties share their mean rank; nan where either is constant.

    Source: Spearman, American Journal of Psychology 15(1), 1904.
    """
    doubt = rankdata(-confidence.ravel().astype(np.float64))
    errors = rankdata(error.ravel())
    doubt -= doubt.mean()
    errors -= errors.mean()
    spread = np.sqrt((doubt @ doubt) * (errors @ errors))
    return float(doubt @ errors / spread) if spread > 0 else float("nan")


def ause_over_random(
    confidence: Float[np.ndarray, "..."], error: Float[np.ndarray, "..."]
) -> float:
    """Area under the sparsification error, over that of removing pixels at random.

    A sparsification curve is the mean error that remains after the least confident share of the
    pixels is removed, for shares from 0 to 1; its error is its distance to the curve that removes
    the largest errors first. 0 where confidence orders the errors, 1 where it is uninformative,
    more where it misleads; nan where all errors are equal.

    Equally confident pixels are removed in no order: each counts the mean error of them all.

    Source: Ilg et al., ECCV 2018, section 4.3.
    """
    errors = error.ravel().astype(np.float64)
    _, group = np.unique(confidence.ravel(), return_inverse=True)
    mean_of_group = np.bincount(group, errors) / np.bincount(group)
    # Most confident first, so that a running mean is what remains.
    by_confidence = mean_of_group[group[np.argsort(-group, kind="stable")]]
    oracle = _area(np.sort(errors))
    random = errors.mean() - oracle
    if random <= 1e-12 * errors.mean():
        return float("nan")
    return float((_area(by_confidence) - oracle) / random)


def _area(ordered: Float[np.ndarray, " n"]) -> float:
    """Mean over k of the mean of the first k errors: the area under a sparsification curve."""
    return float(np.mean(np.cumsum(ordered) / np.arange(1, len(ordered) + 1)))
