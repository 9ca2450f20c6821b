"""Hierarchical risk parity: order the assets by similarity, then bisect by variance."""

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from optimize.solvers.covariance import correlation
from trademl.quant.arrays import FloatArray


def hrp_weights(cov: FloatArray, method: str, reorder_leaves: bool) -> FloatArray:
    """Return hierarchical-risk-parity weights, shape (n,); see ``optimize.solvers.api.hrp``."""
    order = quasi_diagonal_order(cov, method, reorder_leaves)
    weights = np.empty(order.size)
    weights[order] = _bisect(cov[np.ix_(order, order)])
    return weights


def quasi_diagonal_order(
    cov: FloatArray, method: str, reorder_leaves: bool = False
) -> NDArray[np.intp]:
    """Return the leaves of the dendrogram from left to right, shape (n,).

    The tree is built on the distances sqrt((1 - rho) / 2) themselves (not on the distances
    between their columns, as the paper's own snippet does by accident of scipy's interface).
    """
    if cov.shape[0] == 1:
        return np.zeros(1, dtype=np.intp)
    corr, _ = correlation(cov)
    distance = np.sqrt(np.clip(0.5 * (1.0 - corr), 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    condensed = squareform(distance, checks=False)
    tree = linkage(condensed, method=method)
    if reorder_leaves:
        tree = optimal_leaf_ordering(tree, condensed)
    return np.asarray(leaves_list(tree), dtype=np.intp)


def _bisect(cov: FloatArray) -> FloatArray:
    """Split ordered assets in halves, each half weighted by the other's variance."""
    precision = 1.0 / np.diagonal(cov)
    scaled = cov * np.outer(precision, precision)
    weights = np.empty(precision.size)

    def assign(start: int, stop: int, share: float) -> None:
        if stop - start == 1:
            weights[start] = share
            return
        middle = start + (stop - start) // 2
        left, right = variance[start, middle], variance[middle, stop]
        alpha = 1.0 - left / (left + right)
        assign(start, middle, share * alpha)
        assign(middle, stop, share * (1.0 - alpha))

    variance = _branch_variances(scaled, precision)
    assign(0, precision.size, 1.0)
    return weights


def _branch_variances(scaled: FloatArray, precision: FloatArray) -> dict[tuple[int, int], float]:
    """Variance of the inverse-variance portfolio of every branch, built from the leaves up.

    A branch's sum is its children's sums plus twice the block between them, so that the whole
    tree costs one pass over the matrix instead of one per level.
    """
    variances: dict[tuple[int, int], float] = {}

    def visit(start: int, stop: int) -> tuple[float, float]:
        if stop - start == 1:
            block, mass = float(scaled[start, start]), float(precision[start])
        else:
            middle = start + (stop - start) // 2
            left_block, left_mass = visit(start, middle)
            right_block, right_mass = visit(middle, stop)
            cross = float(scaled[start:middle, middle:stop].sum())
            block, mass = left_block + right_block + 2.0 * cross, left_mass + right_mass
        variances[start, stop] = block / mass**2
        return block, mass

    visit(0, precision.size)
    return variances
