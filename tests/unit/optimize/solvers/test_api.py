import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.solvers.api import (
    FALLBACKS,
    METHODS,
    equal_weight,
    hrp,
    max_sharpe,
    min_variance,
    risk_parity,
    solve_with_fallback,
)
from optimize.solvers.result import InvalidCovariance
from tests.support.solver_cases import (
    CAPS,
    SEEDS,
    assert_portfolio,
    random_covariance,
    random_mean,
)
from trademl.errors import Infeasible


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 14), cap=CAPS, name=st.sampled_from(sorted(METHODS)))
def test_every_method_gives_weights_on_the_capped_simplex(seed, n, cap, name):
    result = METHODS[name](random_mean(seed, n), random_covariance(seed, n), cap)
    assert_portfolio(result, n, cap)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 12), cap=CAPS)
@pytest.mark.parametrize("name", ["min_variance", "max_sharpe", "risk_parity", "equal_weight"])
def test_permuting_the_assets_permutes_the_weights(name, seed, n, cap):
    mu, cov = random_mean(seed, n), random_covariance(seed, n)
    order = np.random.default_rng(seed).permutation(n)
    straight = METHODS[name](mu, cov, cap).weights
    permuted = METHODS[name](mu[order], cov[np.ix_(order, order)], cap).weights
    np.testing.assert_allclose(permuted, straight[order], atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 12), cap=CAPS)
def test_scaling_the_units_changes_no_weight(seed, n, cap):
    mu, cov = random_mean(seed, n), random_covariance(seed, n)
    for name, method in METHODS.items():
        small = method(mu * 1e-4, cov * 1e-6, cap).weights
        np.testing.assert_allclose(small, method(mu, cov, cap).weights, atol=1e-8, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 14), cap=CAPS)
def test_minimum_variance_meets_its_optimality_conditions(seed, n, cap):
    cov = random_covariance(seed, n)
    result = min_variance(cov, cap=cap, kappa_max=None)
    w, limit = result.weights, 1.0 if cap is None else max(cap, 1.0 / n)
    gradient = cov @ w / (w @ cov @ w)
    # Whoever could give weight must not have a higher marginal variance than whoever could take.
    can_give, can_take = w > 1e-9, w < limit - 1e-9
    if can_take.any():
        assert gradient[can_give].max() <= gradient[can_take].min() + 1e-7


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 14), cap=CAPS)
def test_no_portfolio_under_the_cap_beats_maximum_sharpe(seed, n, cap):
    mu, cov = random_mean(seed, n), random_covariance(seed, n)
    result = max_sharpe(mu, cov, cap=cap, kappa_max=None)
    if result.method != "max_sharpe":
        assert result.fallback_chain[0].method == "max_sharpe"
        return
    w, limit = result.weights, 1.0 if cap is None else max(cap, 1.0 / n)
    best = mu @ w / np.sqrt(w @ cov @ w)
    slope = mu / (mu @ w) - cov @ w / (w @ cov @ w)  # gradient of the log of the ratio
    can_give, can_take = w > 1e-9, w < limit - 1e-9
    if can_take.any():
        noise = 1e-7 * np.abs(mu / (mu @ w)).max()
        assert slope[can_give].min() >= slope[can_take].max() - noise
    rivals = np.random.default_rng(seed).dirichlet(np.ones(n), 50)
    rivals = rivals[rivals.max(axis=1) <= limit]
    assert all(mu @ x / np.sqrt(x @ cov @ x) <= best * (1 + 1e-9) + 1e-12 for x in rivals)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 30))
def test_risk_contributions_follow_the_budgets(seed, n):
    cov = random_covariance(seed, n)
    budgets = np.random.default_rng(seed).uniform(0.01, 1.0, n)
    w = risk_parity(cov, budgets=budgets, kappa_max=None).weights
    np.testing.assert_allclose(w * (cov @ w) / (w @ cov @ w), budgets / budgets.sum(), atol=1e-11)


def test_negative_correlations_do_not_stop_risk_parity():
    corr = np.array([[1.0, -0.9, 0.3], [-0.9, 1.0, -0.2], [0.3, -0.2, 1.0]])
    w = risk_parity(corr).weights
    np.testing.assert_allclose(w * (corr @ w) / (w @ corr @ w), 1 / 3, atol=1e-11)


@pytest.mark.parametrize("cap", [1.0, 0.3, 0.08])
@pytest.mark.parametrize("n", [5, 40])
def test_convex_portfolios_agree_with_cvxpy(n, cap):
    cp = pytest.importorskip("cvxpy")
    mu, cov = random_mean(n, n), random_covariance(n, n)
    limit = max(cap, 1.01 / n)
    w = cp.Variable(n)
    problem = cp.Problem(
        cp.Minimize(cp.quad_form(w, cp.psd_wrap(cov))), [cp.sum(w) == 1, w >= 0, w <= limit]
    )
    problem.solve(solver=cp.CLARABEL)
    ours = min_variance(cov, cap=limit, kappa_max=None)
    assert ours.solver == "active_set"
    np.testing.assert_allclose(ours.weights, w.value, atol=1e-5)
    y = cp.Variable(n)
    problem = cp.Problem(
        cp.Minimize(cp.quad_form(y, cp.psd_wrap(cov))),
        [mu @ y == 1, y >= 0, y <= limit * cp.sum(y)],
    )
    problem.solve(solver=cp.CLARABEL)
    tangent = max_sharpe(mu, cov, cap=limit, kappa_max=None)
    assert tangent.solver == "active_set"
    np.testing.assert_allclose(tangent.weights, y.value / y.value.sum(), atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # warnings of the oracle's own imports are not ours
def test_portfolios_agree_with_skfolio():
    from skfolio.cluster import HierarchicalClustering, LinkageMethod
    from skfolio.distance import PearsonDistance
    from skfolio.optimization import (
        HierarchicalRiskParity,
        MeanRisk,
        ObjectiveFunction,
        RiskBudgeting,
    )
    from skfolio.seriation import HierarchicalSeriation

    returns = np.random.default_rng(3).standard_normal((300, 12)) * np.linspace(0.5, 2.0, 12) * 0.01
    returns += 0.008 * np.random.default_rng(4).standard_normal((300, 1)) + 0.0005
    mu, cov = returns.mean(axis=0), np.cov(returns.T)
    tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
    least = MeanRisk(max_weights=0.2, solver_params=tight).fit(returns)
    np.testing.assert_allclose(min_variance(cov, cap=0.2).weights, least.weights_, atol=1e-5)
    ratio = MeanRisk(ObjectiveFunction.MAXIMIZE_RATIO, max_weights=0.3, solver_params=tight).fit(
        returns
    )
    np.testing.assert_allclose(max_sharpe(mu, cov, cap=0.3).weights, ratio.weights_, atol=1e-5)
    parity = RiskBudgeting(solver_params=tight).fit(returns)
    np.testing.assert_allclose(risk_parity(cov).weights, parity.weights_, atol=2e-4)
    for linkage in ("single", "average", "complete", "ward"):
        for reorder in (False, True):
            peer = HierarchicalRiskParity(
                distance_estimator=PearsonDistance(),
                seriation_estimator=HierarchicalSeriation(
                    hierarchical_clustering_estimator=HierarchicalClustering(
                        linkage_method=LinkageMethod[linkage.upper()]
                    ),
                    optimal_ordering=reorder,
                ),
            ).fit(returns)
            ours = hrp(cov, linkage=linkage, reorder_leaves=reorder)
            np.testing.assert_allclose(ours.weights, peer.weights_, atol=1e-8)


def test_an_unattainable_cap_is_relaxed_to_equal_weights_and_recorded():
    cov = random_covariance(2, 3)
    for name, method in METHODS.items():
        result = method(np.ones(3), cov, 0.25)
        assert result.cap_relaxed, name
        assert result.cap == pytest.approx(1 / 3)
        np.testing.assert_allclose(result.weights, 1 / 3, atol=1e-12)
    exact = min_variance(random_covariance(2, 4), cap=0.25)
    assert not exact.cap_relaxed
    np.testing.assert_allclose(exact.weights, 0.25, atol=1e-12)


def test_projection_onto_the_cap_is_recorded():
    cov = np.diag([1.0, 100.0, 100.0, 100.0])
    free, capped = hrp(cov), hrp(cov, cap=0.4)
    assert free.weights[0] > 0.9
    assert not free.is_projected
    assert capped.is_projected
    assert capped.weights[0] == 0.4


def test_hrp_single_linkage_by_default_and_unknown_linkage_refused():
    cov = random_covariance(5, 9)
    np.testing.assert_array_equal(hrp(cov).weights, hrp(cov, linkage="single").weights)
    assert np.abs(hrp(cov).weights - hrp(cov, linkage="ward").weights).max() > 1e-3
    with pytest.raises(Infeasible, match="linkage"):
        hrp(cov, linkage="median")


def test_hrp_of_uncorrelated_assets_is_inverse_variance():
    # With a diagonal matrix every split is by inverse variance, so the whole is.
    variances = np.array([1.0, 2.0, 4.0, 5.0, 10.0])
    expected = (1 / variances) / (1 / variances).sum()
    np.testing.assert_allclose(hrp(np.diag(variances)).weights, expected, atol=1e-14)


def test_one_asset_gets_everything():
    for method in METHODS.values():
        assert method(np.array([0.1]), np.array([[4.0]]), None).weights.tolist() == [1.0]
        assert method(np.array([0.1]), np.array([[4.0]]), 0.25).cap_relaxed


@pytest.mark.parametrize(
    ("cov", "match"),
    [
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), r"cov\[0,1\] is nan"),
        (np.array([[1.0, 0.2], [0.3, 1.0]]), "not symmetric"),
        (np.array([[1.0, 0.0], [0.0, -1.0]]), "asset 1 is -1.0"),
        (np.array([[1.0, 0.0], [0.0, 0.0]]), "asset 1 is 0.0"),
        (np.zeros((2, 3)), "square"),
        (np.zeros((0, 0)), "not empty"),
    ],
)
def test_what_is_no_covariance_is_refused_and_never_falls_back(cov, match):
    with pytest.raises(InvalidCovariance, match=match):
        min_variance(cov)
    for name in FALLBACKS:
        with pytest.raises(InvalidCovariance, match=match):
            solve_with_fallback(name, np.ones(cov.shape[0]), cov)


def test_a_broken_mean_is_refused():
    cov = random_covariance(1, 3)
    with pytest.raises(InvalidCovariance, match="shape"):
        max_sharpe(np.ones(2), cov)
    with pytest.raises(InvalidCovariance, match=r"mu\[1\] is nan"):
        solve_with_fallback("max_sharpe", np.array([1.0, np.nan, 1.0]), cov)


def test_bad_parameters_are_refused():
    cov = random_covariance(1, 3)
    for cap in (0.0, -0.1, float("nan")):
        with pytest.raises(Infeasible, match="cap"):
            min_variance(cov, cap=cap)
        with pytest.raises(Infeasible, match="cap"):
            solve_with_fallback("hrp", np.ones(3), cov, cap)
    with pytest.raises(Infeasible, match="budgets"):
        risk_parity(cov, budgets=np.array([1.0, 0.0, 1.0]))
    with pytest.raises(Infeasible, match="at least one"):
        equal_weight(0)
    with pytest.raises(Infeasible, match="unknown portfolio"):
        solve_with_fallback("barbel", np.ones(3), cov)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 10))
def test_nearly_equal_assets_are_conditioned_before_they_are_solved(seed, n):
    cov = random_covariance(seed, n)
    twins = np.block([[cov, cov], [cov, cov]])
    for name in ("hrp", "min_variance", "risk_parity", "max_sharpe"):
        result = solve_with_fallback(name, np.ones(2 * n), twins)
        assert result.kappa_before > 1e12
        assert result.kappa_after <= 5000
        assert result.shrinkage in (0.01, 0.15, 0.5, 0.95)
        assert_portfolio(result, 2 * n, None)


def test_two_hundred_assets_are_solved_to_full_precision():
    # Frank-Wolfe gap: how much any other portfolio under the cap could still gain, to first order.
    mu, cov = random_mean(11, 200), random_covariance(11, 200)
    least = min_variance(cov, cap=0.05, kappa_max=None)
    tangent = max_sharpe(mu, cov, cap=0.05, kappa_max=None)
    assert (least.solver, tangent.solver) == ("active_set", "active_set")
    w = least.weights
    gradient = cov @ w / (w @ cov @ w)
    cheapest = np.sort(gradient)[:20].sum() * 0.05
    assert w @ gradient - cheapest <= 1e-9
    w = tangent.weights
    slope = mu / (mu @ w) - cov @ w / (w @ cov @ w)
    steepest = np.sort(slope)[-20:].sum() * 0.05
    assert steepest - w @ slope <= 1e-9
