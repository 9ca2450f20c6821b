"""The capped simplex of long-only weights: its cap, and the projection onto it."""

from dataclasses import dataclass

import numpy as np

from trademl.errors import Infeasible
from trademl.quant.arrays import FloatArray

STABLE_SUM = 1e-6
"""Gross weight at or below which a solution counts as empty (the stable-sum gate)."""


@dataclass(frozen=True, slots=True)
class Cap:
    """An upper bound per asset: ``limit`` applies, ``is_relaxed`` says that less was asked."""

    limit: float
    is_relaxed: bool
    is_given: bool

    @property
    def reported(self) -> float | None:
        """The limit for a result's record, None where none was asked."""
        return self.limit if self.is_given else None


def resolve_cap(cap: float | None, n_assets: int) -> Cap:
    """Turn a cap as asked into one that n assets can satisfy.

    With n * cap < 1 no weights exist: the cap becomes 1 / n and the result says so.

    Raises:
        Infeasible: the cap is not a positive number.
    """
    if cap is None:
        return Cap(1.0, is_relaxed=False, is_given=False)
    if not cap > 0.0:
        raise Infeasible(f"cap must be a positive share of the portfolio, got {cap}")
    # A cap meant as 1/n may be one ulp below it; that is not a relaxation worth reporting.
    is_relaxed = cap * n_assets < 1.0 - 1e-12
    return Cap(min(max(cap, 1.0 / n_assets), 1.0), is_relaxed, is_given=True)


def project_capped_simplex(weights: FloatArray, cap: float) -> FloatArray:
    """Return the nearest point (least squares) of {0 <= w <= cap, sum w = 1}.

    The solution is clip(w - tau, 0, cap); its sum falls piecewise linearly in tau, so the right
    piece is found by bisection over the sorted kinks and solved exactly. Source: Wang and Lu,
    "Projection onto the capped simplex", arXiv 1503.01002.

    Args:
        weights: shape (n,), finite.
        cap: upper bound with n * cap >= 1.
    """
    if weights.min() >= 0.0 and weights.max() <= cap and abs(weights.sum() - 1.0) <= 1e-12:
        return weights
    kinks = np.unique(np.concatenate([weights, weights - cap]))
    low, high = 0, kinks.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if np.clip(weights - kinks[middle], 0.0, cap).sum() >= 1.0:
            low = middle
        else:
            high = middle
    return _on_piece(weights, cap, float(kinks[low]), float(kinks[high]))


def _on_piece(weights: FloatArray, cap: float, low: float, high: float) -> FloatArray:
    """Interpolate tau between two neighboring kinks, where the sum is linear."""
    sum_low = float(np.clip(weights - low, 0.0, cap).sum())
    sum_high = float(np.clip(weights - high, 0.0, cap).sum())
    if sum_low == sum_high:
        return np.clip(weights - low, 0.0, cap)
    tau = low + (high - low) * (sum_low - 1.0) / (sum_low - sum_high)
    return np.clip(weights - tau, 0.0, cap)
