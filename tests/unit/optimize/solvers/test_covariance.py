import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.solvers.covariance import (
    SHRINKAGE_STEPS,
    condition,
    condition_number,
    correlation,
    ledoit_wolf,
)
from optimize.solvers.result import InvalidCovariance


@pytest.mark.filterwarnings("ignore")  # warnings of the oracle's own imports are not ours
@pytest.mark.parametrize(("rows", "assets"), [(2, 3), (60, 5), (50, 120), (750, 40), (10, 1)])
def test_ledoit_wolf_equals_scikit_learn(rows, assets):
    from sklearn.covariance import ledoit_wolf as peer

    rng = np.random.default_rng(rows)
    returns = rng.standard_normal((rows, assets)) * rng.uniform(0.5, 2.0, assets) * 0.01 + 0.1
    ours, (expected, share) = ledoit_wolf(returns), peer(returns)
    np.testing.assert_allclose(ours.covariance, expected, rtol=1e-9, atol=1e-18)
    assert ours.shrinkage == pytest.approx(share, abs=1e-9)


def test_ledoit_wolf_refuses_gaps_and_single_rows():
    with pytest.raises(InvalidCovariance, match="never fill"):
        ledoit_wolf(np.array([[0.1, np.nan], [0.1, 0.2]]))
    with pytest.raises(InvalidCovariance, match="shape"):
        ledoit_wolf(np.zeros((1, 3)))
    with pytest.raises(InvalidCovariance, match="shape"):
        ledoit_wolf(np.zeros(3))


def test_condition_number_is_the_quotient_of_extreme_eigenvalues():
    assert condition_number(np.diag([4.0, 0.5, 2.0])) == pytest.approx(8.0)
    assert condition_number(np.ones((2, 2))) == pytest.approx(1 / np.finfo(float).eps, rel=1)


def test_a_matrix_within_the_bound_is_returned_itself():
    cov = np.array([[0.04, 0.006], [0.006, 0.09]])
    ready = condition(cov)
    assert ready.covariance is cov
    assert ready.shrinkage == 0.0
    assert ready.kappa_before == ready.kappa_after == pytest.approx(np.linalg.cond(cov))


@pytest.mark.parametrize(
    ("gap", "bound", "share"),
    # Two assets of correlation 1 - gap: kappa = (2 - gap) / gap, after s: (2 - s) / s and the like.
    [
        (1e-3, 5000.0, 0.0),
        (1e-6, 5000.0, 0.01),
        (1e-6, 100.0, 0.15),
        (1e-6, 5.0, 0.5),
        (1e-6, 1.2, 0.95),
    ],
)
def test_the_smallest_step_that_meets_the_bound_is_taken(gap, bound, share):
    cov = np.array([[1.0, 1.0 - gap], [1.0 - gap, 1.0]]) * 1e-4
    ready = condition(cov, bound)
    assert ready.shrinkage == share
    assert ready.kappa_before == pytest.approx((2 - gap) / gap, rel=1e-6)
    assert ready.kappa_after <= bound
    rho = (1 - share) * (1 - gap)
    assert ready.kappa_after == pytest.approx((1 + rho) / (1 - rho), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 12))
def test_shrinking_keeps_the_variances_and_scales_the_correlations(seed, n):
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.5, 2.0, (n, 1)) * rng.choice([-1.0, 1.0], (n, 1))
    cov = base @ base.T + 1e-9 * np.eye(n)  # singular but for rounding
    ready = condition(cov)
    assert ready.shrinkage in SHRINKAGE_STEPS
    np.testing.assert_allclose(np.diag(ready.covariance), np.diag(cov), rtol=1e-12)
    before, after = correlation(cov)[0], correlation(ready.covariance)[0]
    off = ~np.eye(n, dtype=bool)
    np.testing.assert_allclose(after[off], (1 - ready.shrinkage) * before[off], atol=1e-12)


def test_an_indefinite_matrix_is_shrunk_although_its_quotient_is_small():
    cov = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    assert condition_number(cov) < 5000
    assert np.linalg.eigvalsh(cov)[0] < 0
    ready = condition(cov)
    assert ready.shrinkage == 0.5
    assert np.linalg.eigvalsh(ready.covariance)[0] > 0


def test_variances_far_apart_are_not_taken_for_collinearity():
    # A stablecoin beside a small coin: kappa 4e6 from the variances alone, correlation .5. No
    # shrinkage of the correlation reaches 5000, and .95 would only destroy what is known.
    cov = np.array([[1.0, 0.5 * 2000], [0.5 * 2000, 2000.0**2]]) * 1e-8
    ready = condition(cov)
    assert ready.covariance is cov
    assert ready.shrinkage == 0.0
    assert ready.kappa_after == ready.kappa_before > 1e6
    twins = np.array([[1.0, 2000.0], [2000.0, 2000.0**2 * (1 + 1e-9)]])
    assert condition(twins).shrinkage == 0.01


def test_the_check_can_be_switched_off():
    cov = np.ones((2, 2))
    ready = condition(cov, None)
    assert ready.covariance is cov
    assert np.isnan(ready.kappa_before)
