"""Exact long-only minimum-variance and maximum-Sharpe portfolios by block pivoting.

Both problems are convex quadratics over {0 <= w <= cap, sum w = 1}. Once it is known which assets
are free, which sit at 0 and which at the cap, the weights follow from one Cholesky factorisation
of the free block. Block pivoting guesses the partition, solves, moves every asset that violates
its optimality condition, and repeats: a handful of rounds in practice (Judice and Pires, "A block
principal pivoting algorithm for large-scale strictly monotone linear complementarity problems",
Computers & Operations Research 21, 1994). When the number of violations stops falling, a primal
active set finishes the work one asset at a time.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from optimize.solvers.simplex import project_capped_simplex
from trademl.errors import Numerical
from trademl.quant.arrays import FloatArray

BoolArray = NDArray[np.bool_]
Partition = tuple[BoolArray, BoolArray]
"""(free, at the cap); an asset that is neither sits at 0."""

_PATIENCE = 8
_TOLERANCE = 1e-11


def min_variance_weights(cov: FloatArray, cap: float) -> FloatArray:
    """Minimize w' cov w over the capped simplex.

    Args:
        cov: positive definite, shape (n, n).
        cap: upper bound per asset with n * cap > 1.

    Raises:
        Numerical: the covariance is not positive definite or the pivoting did not end.
    """
    scaled = cov / np.diagonal(cov).mean()
    return _settle(_Frontier(scaled, np.zeros(cov.shape[0]), cap), 0.0, _all_free(cov)).weights


def max_sharpe_weights(mu: FloatArray, cov: FloatArray, cap: float) -> FloatArray:
    """Maximize mu' w / sqrt(w' cov w) over the capped simplex.

    The best ratio lies on the frontier w(t) = argmin w' cov w / 2 - t mu' w, where
    h(t) = w' cov w - t mu' w is 0: its slope is negative at every root, so there is one root. While
    the partition stays the same w(t) is affine and so is h(t), hence a Newton step lands on the
    root exactly; a bracket guards the steps that cross into another partition.

    Args:
        mu: expected returns per period, shape (n,), some attainable portfolio positive.
        cov: positive definite, shape (n, n).
        cap: upper bound per asset with n * cap > 1.

    Raises:
        Numerical: as for ``min_variance_weights``, or the tilt did not converge.
    """
    scaled, mean = cov / np.diagonal(cov).mean(), mu / np.abs(mu).max()
    frontier, start = _Frontier(scaled, mean, cap), _all_free(cov)
    low, high, tilt = 0.0, np.inf, 1.0
    for _ in range(200):
        point = _settle(frontier, tilt, start)
        start = point.partition
        gap = float(point.weights @ (scaled @ point.weights - tilt * mean))
        low, high = (tilt, high) if gap > 0.0 else (low, tilt)
        proposal = frontier.root(point)
        if abs(proposal - tilt) <= 1e-13 * tilt:
            return point.weights
        if not low < proposal < high:
            proposal = 0.5 * (low + high) if np.isfinite(high) else 4.0 * tilt
        tilt = proposal
    raise Numerical("max_sharpe: the tilt did not converge in 200 steps")


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """A candidate on the frontier: base + tilt * direction, clipped once it is optimal."""

    weights: FloatArray
    slack: FloatArray
    base: FloatArray
    direction: FloatArray
    partition: Partition

    def should_release(self) -> BoolArray:
        """Which assets on a bound would gain by leaving it."""
        free, at_cap = self.partition
        return np.where(at_cap, self.slack < -_TOLERANCE, self.slack > _TOLERANCE) & ~free


@dataclass(frozen=True, slots=True, eq=False)
class _Frontier:
    """Minimize w' cov w / 2 - tilt * mean' w with sum w = 1, given who is free and who at cap."""

    cov: FloatArray
    mean: FloatArray
    cap: float

    def at(self, tilt: float, partition: Partition) -> _Point:
        """Solve the equalities of a partition; bounds may be violated, slacks say where."""
        free, at_cap = self._with_one_free(tilt, partition)
        fixed_pull = -self.cap * self.cov[np.ix_(free, at_cap)].sum(axis=1)
        columns = np.stack([np.ones(fixed_pull.size), fixed_pull, self.mean[free]], axis=1)
        unit, fixed, tangent = _solve_block(self.cov, free, columns)
        mass = float(unit.sum())
        level = (1.0 - self.cap * int(at_cap.sum()) - float(fixed.sum())) / mass
        drift = -float(tangent.sum()) / mass
        base, direction = np.where(at_cap, self.cap, 0.0), np.zeros(free.size)
        base[free], direction[free] = level * unit + fixed, drift * unit + tangent
        weights, price = base + tilt * direction, level + tilt * drift
        slack = price + tilt * self.mean - self.cov @ weights
        return _Point(weights, slack / max(abs(price), tilt), base, direction, (free, at_cap))

    def _with_one_free(self, tilt: float, partition: Partition) -> Partition:
        """Free the most deserving asset where none is: the budget needs one to land on."""
        free, at_cap = partition
        if free.any():
            return partition
        gain = tilt * self.mean - self.cap * self.cov[:, at_cap].sum(axis=1)
        if self.cap * int(at_cap.sum()) > 1.0:
            chosen = int(np.where(at_cap, gain, np.inf).argmin())
        else:
            chosen = int(np.where(at_cap, -np.inf, gain).argmax())
        freed = np.arange(free.size) == chosen
        return freed, at_cap & ~freed

    def root(self, point: _Point) -> float:
        """Where h(t) of the point's affine piece is 0; inf when it never is."""
        spread = self.cov @ point.base
        slope = float(2.0 * point.direction @ spread - self.mean @ point.base)
        return float(point.base @ spread) / -slope if slope < 0.0 else float("inf")


def _all_free(cov: FloatArray) -> Partition:
    return np.ones(cov.shape[0], dtype=np.bool_), np.zeros(cov.shape[0], dtype=np.bool_)


def _solve_block(cov: FloatArray, free: BoolArray, columns: FloatArray) -> FloatArray:
    """Solve cov[free, free] x = column for each column; one row per solution."""
    try:
        factor = cho_factor(cov[np.ix_(free, free)], lower=True, check_finite=False)
    except LinAlgError as error:
        raise Numerical("the covariance is not positive definite") from error
    return np.ascontiguousarray(cho_solve(factor, columns, check_finite=False).T)


def _settle(frontier: _Frontier, tilt: float, partition: Partition) -> _Point:
    """Move violators between free, 0 and the cap until the optimality conditions hold."""
    fewest, patience = partition[0].size + 1, _PATIENCE
    while patience >= 0:
        point = frontier.at(tilt, partition)
        free, at_cap = point.partition
        below = free & (point.weights < -_TOLERANCE)
        above = free & (point.weights > frontier.cap + _TOLERANCE)
        release = point.should_release()
        violations = below | above | release
        count = int(violations.sum())
        if count == 0:
            return replace(point, weights=np.clip(point.weights, 0.0, frontier.cap))
        patience = _PATIENCE if count < fewest else patience - 1
        fewest = min(fewest, count)
        partition = (free & ~violations) | release, (at_cap & ~violations) | above
    start = np.clip(point.weights, -1.0, 1.0)
    return _descend(frontier, tilt, project_capped_simplex(start, frontier.cap))


def _descend(frontier: _Frontier, tilt: float, weights: FloatArray) -> _Point:
    """Walk from a feasible point to the optimum, one asset at a time.

    The textbook primal active set: go to the minimum over the free assets, stop where the first
    one meets a bound and leave it there, else release the bound that gains most. Every step
    lowers a strictly convex objective, so no partition comes twice.
    """
    n_assets, cap = weights.size, frontier.cap
    at_cap = weights >= cap
    free = (weights > 0.0) & ~at_cap
    for _ in range(50 + 10 * n_assets):
        point = frontier.at(tilt, (free, at_cap))
        free, at_cap = point.partition
        step = np.where(free, point.weights - weights, 0.0)
        room = np.where(step < 0.0, -weights, cap - weights)
        reach = np.where(np.abs(step) > _TOLERANCE, room / np.where(step == 0.0, 1.0, step), np.inf)
        first = int(reach.argmin())
        if reach[first] < 1.0:
            weights = np.clip(weights + reach[first] * step, 0.0, cap)
            free = free & (np.arange(n_assets) != first)
            at_cap = at_cap | ((np.arange(n_assets) == first) & (step > 0.0))
            continue
        weights = np.clip(point.weights, 0.0, cap)
        release = point.should_release()
        if not release.any():
            return replace(point, weights=weights)
        gain = np.where(release, np.abs(point.slack), -1.0)
        chosen = np.arange(n_assets) == int(gain.argmax())
        free, at_cap = free | chosen, at_cap & ~chosen
    raise Numerical(f"active set did not settle on {n_assets} assets with cap {cap}")
