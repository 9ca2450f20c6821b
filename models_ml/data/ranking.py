"""Ranks and rank correlations within sessions, for arrays ordered by session."""

import numpy as np
from numpy.typing import NDArray

MIN_NAMES = 3
"""A rank correlation of fewer names says nothing and is nan."""

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def starts_of(session: NDArray[np.int32]) -> Indices:
    """Where each run of equal sessions begins; the sessions are non-decreasing."""
    return (
        np.flatnonzero(np.r_[True, session[1:] != session[:-1]])
        if len(session)
        else np.empty(0, np.intp)
    )


def sizes_of(starts: Indices, count: int) -> Indices:
    """The length of each run."""
    return np.diff(starts, append=count)


def group_ranks(values: NDArray[np.floating], starts: Indices) -> Floats:
    """Average ranks 1..n within each run.

    Args:
        values: (n,) without nan.
        starts: Where each run begins.

    Returns:
        (n,) ranks; ties share the mean of their ranks.
    """
    sizes = sizes_of(starts, len(values))
    group = np.repeat(np.arange(len(starts)), sizes)
    order = np.lexsort((values, group))
    ordered, owner = values[order], group[order]
    new = np.r_[True, (ordered[1:] != ordered[:-1]) | (owner[1:] != owner[:-1])]
    first = np.flatnonzero(new)
    last = np.r_[first[1:], len(values)] - 1
    mean_position = np.repeat((first + last) / 2, last - first + 1)
    ranks = np.empty(len(values))
    ranks[order] = mean_position - starts[owner] + 1
    return ranks


def centered_ranks(values: NDArray[np.floating], starts: Indices) -> Floats:
    """Ranks spread evenly over [-1, 1] within each run; 0 for a run of one."""
    sizes = np.repeat(sizes_of(starts, len(values)), sizes_of(starts, len(values)))
    return (2 * group_ranks(values, starts) - sizes - 1) / np.maximum(sizes - 1, 1)


def rank_ic(ranks: Floats, other: Floats, starts: Indices) -> Floats:
    """Spearman's correlation within each run, of two arrays of centered ranks.

    Returns:
        One value per run; nan where fewer than three names or where one side is all ties.
    """
    covariance = np.add.reduceat(ranks * other, starts)
    variances = np.add.reduceat(ranks * ranks, starts) * np.add.reduceat(other * other, starts)
    usable = (sizes_of(starts, len(ranks)) >= MIN_NAMES) & (variances > 0)
    result = np.full(len(starts), np.nan)
    result[usable] = covariance[usable] / np.sqrt(variances[usable])
    return result


def newey_west_t(series: Floats, lags: int) -> float:
    """The t-statistic of a mean whose terms overlap: Newey and West (1987), Bartlett weights.

    Args:
        series: The terms in time order; nan is left out.
        lags: Overlapping neighbors on each side; 0 gives the plain t-statistic (with n in the
            variance).

    Returns:
        mean / standard error; 0, no evidence, for fewer than two terms or no variance.
    """
    x = series[np.isfinite(series)]
    if len(x) < 2:
        return 0.0
    e = x - x.mean()
    variance = e @ e / len(x)
    for lag in range(1, min(lags, len(x) - 1) + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (e[lag:] @ e[:-lag]) / len(x)
    return float(x.mean() / np.sqrt(variance / len(x))) if variance > 0 else 0.0
