import numpy as np
import pytest

from optimize.solvers import active_set, conic
from optimize.solvers import api as solvers
from optimize.solvers.api import METHODS, max_sharpe, min_variance, solve_with_fallback
from optimize.solvers.result import FallbackStep, SolverResult
from tests.support.solver_cases import random_covariance, random_mean
from trademl.errors import Infeasible, Numerical, SolverError


@pytest.mark.parametrize("cap", [1.0, 0.3, 0.12])
def test_the_fallback_libraries_solve_the_same_problems(cap):
    mu, cov = random_mean(7, 10), random_covariance(7, 10)
    exact = active_set.min_variance_weights(cov, cap)
    np.testing.assert_allclose(conic.clarabel_min_variance(cov, cap), exact, atol=1e-6)
    np.testing.assert_allclose(conic.cvxpy_min_variance(cov, cap), exact, atol=1e-6)
    tangent = active_set.max_sharpe_weights(mu, cov, cap)
    np.testing.assert_allclose(conic.clarabel_max_sharpe(mu, cov, cap), tangent, atol=1e-6)
    np.testing.assert_allclose(conic.cvxpy_max_sharpe(mu, cov, cap), tangent, atol=1e-6)


def test_libraries_take_over_in_turn_and_the_record_says_so(monkeypatch):
    cov = random_covariance(7, 10)
    expected = min_variance(cov, cap=0.3).weights

    def fail(*_arguments):
        raise Numerical("made to fail")

    monkeypatch.setattr(active_set, "min_variance_weights", fail)
    result = min_variance(cov, cap=0.3)
    assert result.solver == "clarabel"
    assert result.fallback_chain == (FallbackStep("active_set", "made to fail"),)
    np.testing.assert_allclose(result.weights, expected, atol=1e-6)
    monkeypatch.setattr(conic, "clarabel_min_variance", fail)
    assert min_variance(cov, cap=0.3).solver == "cvxpy"
    monkeypatch.setattr(conic, "cvxpy_min_variance", fail)
    with pytest.raises(Numerical, match="made to fail"):
        min_variance(cov, cap=0.3)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("AlmostSolved", Numerical),
        ("MaxIterations", Numerical),
        ("PrimalInfeasible", Infeasible),
        ("AlmostPrimalInfeasible", Infeasible),
        ("DualInfeasible", SolverError),
    ],
)
def test_only_a_solved_clarabel_status_is_accepted(status, error):
    with pytest.raises(error, match=status):
        conic.accept_clarabel_status(status)
    conic.accept_clarabel_status("Solved")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("optimal_inaccurate", Numerical),
        ("user_limit", Numerical),
        ("infeasible", Infeasible),
        ("unbounded", SolverError),
    ],
)
def test_only_an_optimal_cvxpy_status_is_accepted(status, error):
    with pytest.raises(error, match=status):
        conic.accept_cvxpy_status(status)
    conic.accept_cvxpy_status("optimal")


def test_without_a_positive_mean_maximum_sharpe_is_minimum_variance_and_says_so():
    cov = random_covariance(1, 6)
    result = max_sharpe(np.full(6, -0.1), cov)
    assert result.method == "min_variance"
    assert result.fallback_chain[0].method == "max_sharpe"
    np.testing.assert_array_equal(result.weights, min_variance(cov).weights)
    # One winner that the cap does not let outweigh the losers is not a positive mean either.
    mu = np.array([0.01, -1, -1, -1, -1, -1])
    assert max_sharpe(mu, cov, cap=0.3).method == "min_variance"
    assert max_sharpe(mu, cov).method == "max_sharpe"


def zeros(mu, cov, cap):
    return SolverResult(np.zeros(len(mu)), "optimal", "stub", 1.0, 1.0)


def broken(mu, cov, cap):
    raise Numerical("did not converge")


def test_the_chain_records_every_failure_by_name_and_reason():
    mu, cov = random_mean(3, 5), random_covariance(3, 5)
    stubs = {**METHODS, "max_sharpe": broken, "min_variance": zeros}
    result = solve_with_fallback("max_sharpe", mu, cov, methods=stubs)
    assert result.method == "risk_parity"
    assert [step.method for step in result.fallback_chain] == ["max_sharpe", "min_variance"]
    assert result.fallback_chain[0].reason == "did not converge"
    assert "stable-sum gate" in result.fallback_chain[1].reason
    last = solve_with_fallback("max_sharpe", mu, cov, methods={**stubs, "erc": zeros})
    assert last.method == "equal_weight"
    assert [step.method for step in last.fallback_chain] == ["max_sharpe", "min_variance", "erc"]
    assert last.kappa_before == pytest.approx(np.linalg.cond(cov))


def test_a_chain_that_fails_to_the_end_raises_with_all_reasons():
    with pytest.raises(Numerical, match=r"hrp: did not converge; erc: did not"):
        solve_with_fallback(
            "hrp", np.ones(3), random_covariance(3, 3), methods=dict.fromkeys(METHODS, broken)
        )


def test_the_stable_sum_gate_is_at_one_millionth():
    solvers.check_stable_sum(np.array([1.1e-6, 0.0]))
    solvers.check_stable_sum(np.array([1.0, -1.0]))  # gross, not net
    for weights in ([1e-6, 0.0], [0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(Numerical):
            solvers.check_stable_sum(np.array(weights))
