"""Correlation clusters over several lookbacks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from trademl.errors import ConfigError, DataError
from trademl.quant.arrays import FloatArray

MIN_OVERLAP = 20


@dataclass(frozen=True, slots=True, eq=False)
class ClusterResult:
    """Clusters of n assets.

    Attributes:
        labels: shape (n,), 1..n_clusters, numbered by first appearance among the columns.
        n_clusters: number of clusters.
        distance: shape (n, n), the averaged distances that were cut.
        lookbacks: the numbers of rows that were averaged over.
        is_recut: the threshold gave more than ``max_clusters``, so the tree was cut to that many.
    """

    labels: NDArray[np.int64]
    n_clusters: int
    distance: FloatArray
    lookbacks: tuple[int, ...]
    is_recut: bool


def cluster(
    returns: ArrayLike,
    *,
    threshold: float = 0.7,
    lookbacks: Sequence[int] = (60, 120, 200),
    max_clusters: int = 25,
    shrinkage: float = 0.01,
) -> ClusterResult:
    """Group assets whose returns move together.

    The distance is the mean over the lookbacks of sqrt((1 - rho) / 2), with rho the pairwise
    Pearson correlation of the last rows (zeros count as missing, fewer than 20 common rows as no
    correlation) shrunk to (1 - s) rho + s I; Ward's tree is cut at the threshold. Ward on an
    averaged, not Euclidean distance is a heuristic.

    Args:
        returns: shape (T, n), one column per asset, nan or 0 for missing.
        threshold: distance at which the tree is cut.
        lookbacks: rows per correlation; those above T are left out, T itself if none is left.
        max_clusters: cut to this many instead where the threshold gives more.
        shrinkage: s, in [0, 1].

    Raises:
        DataError: not a matrix with rows and columns, or an infinite value.
        ConfigError: no lookback, or a parameter out of range.
    """
    data = np.asarray(returns, dtype=np.float64)
    if data.ndim != 2 or data.size == 0:
        raise DataError(f"returns must have shape (T >= 1, n >= 1), got {data.shape}")
    if np.isinf(data).any():
        raise DataError("returns hold an infinite value")
    _check(threshold, lookbacks, max_clusters, shrinkage)
    n_rows, n_assets = data.shape
    used = tuple(sorted({days for days in lookbacks if days <= n_rows})) or (n_rows,)
    distance = np.mean([_distance(data[-days:], shrinkage) for days in used], axis=0)
    if n_assets == 1:
        return ClusterResult(np.ones(1, dtype=np.int64), 1, distance, used, False)
    tree = linkage(squareform(distance, checks=False), method="ward")
    raw = fcluster(tree, t=threshold, criterion="distance")
    is_recut = int(raw.max()) > max_clusters
    if is_recut:
        raw = fcluster(tree, t=max_clusters, criterion="maxclust")
    labels = _by_first_appearance(raw)
    return ClusterResult(labels, int(labels.max()), distance, used, is_recut)


def pairwise_correlation(returns: FloatArray) -> FloatArray:
    """Return Pearson correlations over each pair's common rows, shape (n, n).

    Zeros and nan are missing; a pair with fewer than ``MIN_OVERLAP`` common rows, or without
    variance over them, gets 0. The diagonal is 1.
    """
    present = (returns != 0.0) & ~np.isnan(returns)
    mask = present.astype(np.float64)
    counts = mask.sum(axis=0)
    center = np.where(present, returns, 0.0).sum(axis=0) / np.maximum(counts, 1.0)
    values = np.where(present, returns - center, 0.0)
    overlap = mask.T @ mask
    common = np.maximum(overlap, 1.0)
    sums, squares = values.T @ mask, (values**2).T @ mask
    covariance = values.T @ values - sums * sums.T / common
    variance = squares - sums**2 / common
    scale = np.sqrt(np.maximum(variance * variance.T, 0.0))
    is_known = (overlap >= MIN_OVERLAP) & (scale > 1e-14 * np.sqrt(squares * squares.T))
    correlation = np.where(is_known, covariance / np.where(is_known, scale, 1.0), 0.0)
    np.fill_diagonal(correlation, 1.0)
    return np.clip(correlation, -1.0, 1.0)


def _distance(returns: FloatArray, shrinkage: float) -> FloatArray:
    correlation = (1.0 - shrinkage) * pairwise_correlation(returns)
    distance = np.sqrt(0.5 * (1.0 - correlation))
    # Two halves of a product need not round alike; the tree needs an exactly symmetric matrix.
    distance = 0.5 * (distance + distance.T)
    np.fill_diagonal(distance, 0.0)
    return distance


def _by_first_appearance(raw: NDArray[np.int32]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(raw, return_index=True, return_inverse=True)
    order = np.empty(first.size, dtype=np.int64)
    order[np.argsort(first)] = np.arange(1, first.size + 1)
    return order[inverse]


def _check(threshold: float, lookbacks: Sequence[int], max_clusters: int, shrinkage: float) -> None:
    if not threshold > 0.0:
        raise ConfigError(f"threshold must be positive, got {threshold}")
    if not lookbacks or min(lookbacks) < 1:
        raise ConfigError(f"lookbacks must be positive numbers of rows, got {tuple(lookbacks)}")
    if max_clusters < 1:
        raise ConfigError(f"max_clusters must be at least 1, got {max_clusters}")
    if not 0.0 <= shrinkage <= 1.0:
        raise ConfigError(f"shrinkage must be in [0, 1], got {shrinkage}")
