"""Inputs and the common check of the solver tests."""

import numpy as np
from hypothesis import strategies as st

from optimize.solvers.result import SolverResult

SEEDS = st.integers(0, 1_000_000)
CAPS = st.sampled_from([None, 1.0, 0.6, 0.35, 0.2, 0.05])


def random_covariance(seed: int, n: int) -> np.ndarray:
    """A dense covariance with a common factor and deviations a factor of 20 apart."""
    rng = np.random.default_rng(seed)
    returns = rng.standard_normal((3 * n + 10, n)) + 1.5 * rng.standard_normal((3 * n + 10, 1))
    scale = np.exp(rng.uniform(-1.5, 1.5, n))
    return np.cov((returns * scale).T).reshape(n, n)


def random_mean(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed + 1).standard_normal(n) + 0.3


def assert_portfolio(result: SolverResult, n: int, cap: float | None) -> None:
    limit = 1.0 if cap is None else max(cap, 1.0 / n)
    assert result.status == "optimal"
    assert result.weights.shape == (n,)
    assert result.weights.min() >= 0.0
    assert result.weights.max() <= limit + 1e-15
    assert abs(result.weights.sum() - 1.0) <= 1e-9
    assert result.cap_relaxed == (cap is not None and n * cap < 1 - 1e-12)
    assert not result.weights.flags.writeable
