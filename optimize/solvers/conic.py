"""Minimum-variance and maximum-Sharpe programs solved by Clarabel directly, then by cvxpy."""

import warnings
from importlib import import_module
from typing import Any

import clarabel
import numpy as np
from scipy import sparse

from optimize.solvers.simplex import project_capped_simplex
from trademl.errors import Infeasible, Numerical, Unbounded
from trademl.quant.arrays import FloatArray

_TOLERANCE = 1e-10


def clarabel_min_variance(cov: FloatArray, cap: float) -> FloatArray:
    """Minimize w' cov w over the capped simplex by interior points; shapes as in active_set.

    Raises:
        Infeasible, Unbounded, Numerical: Clarabel ended in any status but ``Solved``.
    """
    n_assets = cov.shape[0]
    identity = sparse.identity(n_assets, format="csc")
    constraints = sparse.vstack([np.ones((1, n_assets)), -identity, identity], format="csc")
    bounds = np.concatenate([[1.0], np.zeros(n_assets), np.full(n_assets, cap)])
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(2 * n_assets)]
    solution = _clarabel(cov / np.diagonal(cov).mean(), constraints, bounds, cones)
    return _onto_budget(solution, cap)


def clarabel_max_sharpe(mu: FloatArray, cov: FloatArray, cap: float) -> FloatArray:
    """Maximize the Sharpe ratio over the capped simplex by interior points.

    Charnes-Cooper transform: minimize y' cov y with mu' y = 1, 0 <= y <= cap * k, sum y = k;
    the weights are y / k. Writing the sum as a variable k keeps the cap rows sparse (a dense
    n x n cap block made the same program 4 to 14 times slower at n = 500).

    Raises:
        Infeasible, Unbounded, Numerical: Clarabel ended in any status but ``Solved``.
    """
    n_assets = cov.shape[0]
    identity = sparse.identity(n_assets, format="csc")
    none, ones = np.zeros((n_assets, 1)), np.ones((1, n_assets))
    mean = (mu / np.abs(mu).max()).reshape(1, -1)
    constraints = sparse.block_array(
        [
            [mean, np.zeros((1, 1))],
            [ones, np.full((1, 1), -1.0)],
            [-identity, none],
            [identity, np.full((n_assets, 1), -cap)],
        ],
        format="csc",
    )
    bounds = np.concatenate([[1.0], np.zeros(1 + 2 * n_assets)])
    cones = [clarabel.ZeroConeT(2), clarabel.NonnegativeConeT(2 * n_assets)]
    quadratic = np.zeros((n_assets + 1, n_assets + 1))
    quadratic[:-1, :-1] = cov / np.diagonal(cov).mean()
    solution = _clarabel(quadratic, constraints, bounds, cones)
    return _onto_budget(solution[:-1] / solution[-1], cap)


def _clarabel(
    quadratic: FloatArray,
    constraints: sparse.csc_array,
    bounds: FloatArray,
    cones: list[Any],
) -> FloatArray:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    upper = sparse.csc_matrix(np.triu(quadratic))
    linear = np.zeros(quadratic.shape[0])
    matrix = sparse.csc_matrix(constraints)
    solver = clarabel.DefaultSolver(upper, linear, matrix, bounds, cones, settings)
    solution = solver.solve()
    accept_clarabel_status(str(solution.status))
    return np.asarray(solution.x, dtype=np.float64)


def accept_clarabel_status(status: str) -> None:
    """Let only ``Solved`` pass: an almost-solved portfolio is not a portfolio."""
    if status == "Solved":
        return
    if "PrimalInfeasible" in status:
        raise Infeasible(f"clarabel: {status}")
    if "DualInfeasible" in status:
        raise Unbounded(f"clarabel: {status}")
    raise Numerical(f"clarabel: {status}")


def cvxpy_min_variance(cov: FloatArray, cap: float) -> FloatArray:
    """Minimize w' cov w over the capped simplex through cvxpy and OSQP.

    Raises:
        Infeasible, Unbounded, Numerical: any status but ``optimal``.
    """
    cp = _cvxpy()
    weights = cp.Variable(cov.shape[0])
    limits = [cp.sum(weights) == 1, weights >= 0, weights <= cap]
    return _onto_budget(_osqp(cp, cov, weights, limits), cap)


def cvxpy_max_sharpe(mu: FloatArray, cov: FloatArray, cap: float) -> FloatArray:
    """Maximize the Sharpe ratio over the capped simplex through cvxpy and OSQP.

    Raises:
        Infeasible, Unbounded, Numerical: any status but ``optimal``.
    """
    cp = _cvxpy()
    amounts, total = cp.Variable(cov.shape[0]), cp.Variable()
    limits = [
        (mu / np.abs(mu).max()) @ amounts == 1,
        cp.sum(amounts) == total,
        amounts >= 0,
        amounts <= cap * total,
    ]
    solved = _osqp(cp, cov, amounts, limits)
    return _onto_budget(solved / solved.sum(), cap)


def _cvxpy() -> Any:
    """Import cvxpy only when it is needed: it takes a second, and the usual path never comes here.

    Typed as Any because cvxpy builds its namespace at run time.
    """
    return import_module("cvxpy")


def _osqp(cp: Any, cov: FloatArray, variable: Any, limits: list[Any]) -> FloatArray:
    objective = cp.quad_form(variable, cp.psd_wrap(cov / np.diagonal(cov).mean()))
    problem = cp.Problem(cp.Minimize(objective), limits)
    try:
        with warnings.catch_warnings():
            # cvxpy warns about inaccurate solutions; the status below refuses them anyway.
            warnings.simplefilter("ignore")
            problem.solve(solver=cp.OSQP, eps_abs=1e-9, eps_rel=1e-9, max_iter=200_000)
    except cp.SolverError as error:
        raise Numerical(f"cvxpy: {error}") from error
    accept_cvxpy_status(str(problem.status))
    return np.asarray(variable.value, dtype=np.float64)


def accept_cvxpy_status(status: str) -> None:
    """Let only cvxpy's ``optimal`` pass, not ``optimal_inaccurate``.

    Raises:
        Infeasible, Unbounded, Numerical: what the status says.
    """
    if status == "optimal":
        return
    if status.startswith("infeasible"):
        raise Infeasible(f"cvxpy: {status}")
    if status.startswith("unbounded"):
        raise Unbounded(f"cvxpy: {status}")
    raise Numerical(f"cvxpy: {status}")


def _onto_budget(weights: FloatArray, cap: float) -> FloatArray:
    """Clip the library's tolerance away and restore the sum exactly."""
    return project_capped_simplex(weights, cap)
