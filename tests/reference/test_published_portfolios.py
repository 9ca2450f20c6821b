"""Portfolio weights with a closed form or a paper behind them."""

import numpy as np
import pytest

from optimize.solvers.api import hrp, max_sharpe, min_variance, risk_parity


def covariance(deviations: list[float], rho: float) -> np.ndarray:
    corr = np.full((len(deviations), len(deviations)), rho)
    np.fill_diagonal(corr, 1.0)
    return corr * np.outer(deviations, deviations)


def test_equal_risk_with_equal_correlations_is_inverse_volatility() -> None:
    # Maillard, Roncalli and Teiletche (2010), section 2.3: equal correlations give weights
    # proportional to 1 / sigma, here 48 / 24 / 16 / 12 %.
    result = risk_parity(covariance([0.1, 0.2, 0.3, 0.4], 0.5))
    assert result.weights == pytest.approx([0.48, 0.24, 0.16, 0.12], abs=1e-10)


TWO = [(0.10, 0.20, 0.3, 0.05, 0.08), (0.15, 0.16, -0.4, 0.02, 0.09), (0.2, 0.25, 0.7, 0.1, 0.11)]


@pytest.mark.parametrize(("s1", "s2", "rho", "m1", "m2"), TWO)
def test_two_assets_in_closed_form(s1: float, s2: float, rho: float, m1: float, m2: float) -> None:
    # Markowitz (1952): w1 = (s2^2 - s12) / (s1^2 + s2^2 - 2 s12); tangency: w ~ inverse(cov) mu.
    s12 = rho * s1 * s2
    cov = covariance([s1, s2], rho)
    least = (s2**2 - s12) / (s1**2 + s2**2 - 2 * s12)
    assert 0.0 < least < 1.0
    assert min_variance(cov).weights == pytest.approx([least, 1 - least], abs=1e-12)

    raw = np.array([m1 * s2**2 - m2 * s12, m2 * s1**2 - m1 * s12])
    assert raw.min() > 0.0
    assert max_sharpe(np.array([m1, m2]), cov).weights == pytest.approx(raw / raw.sum(), abs=1e-12)

    # Lopez de Prado (2016): a bisection of two leaves is inverse variance, whatever rho.
    split = s2**2 / (s1**2 + s2**2)
    assert hrp(cov).weights == pytest.approx([split, 1 - split], abs=1e-14)


def test_a_well_conditioned_covariance_is_solved_as_it_is() -> None:
    result = min_variance(covariance([0.1, 0.2], 0.3))
    assert (result.shrinkage, result.status, result.fallback_chain) == (0.0, "optimal", ())
    assert (
        result.kappa_before
        == result.kappa_after
        == pytest.approx(np.linalg.cond(covariance([0.1, 0.2], 0.3)), rel=1e-10)
    )


def test_leaf_order_alone_moves_hrp_weights_by_points() -> None:
    # A convention that has to be stated beside any HRP figure: by four points in public examples.
    noise = np.random.default_rng(7).standard_normal((250, 12))
    cov = np.cov((noise + noise[:, :1] * np.linspace(0.0, 2.0, 12)).T)
    moved = np.abs(hrp(cov).weights - hrp(cov, reorder_leaves=True).weights).max()
    assert moved > 0.01
