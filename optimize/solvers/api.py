"""The public API of the solvers: long-only portfolios from a covariance matrix.

Every function validates its input, conditions the covariance
(``optimize.solvers.covariance.condition``), solves, and passes the stable-sum gate before it
hands out a ``SolverResult``. Our own algorithms come first; Clarabel and then cvxpy take over
when one of them gives up, and every change of hands is on record in ``fallback_chain``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from optimize.solvers import active_set, conic
from optimize.solvers.covariance import (
    KAPPA_MAX,
    Conditioned,
    condition,
    condition_number,
    validate_covariance,
    validate_mean,
)
from optimize.solvers.hrp import hrp_weights
from optimize.solvers.result import FallbackStep, InvalidCovariance, SolverResult
from optimize.solvers.risk_parity import risk_parity_weights
from optimize.solvers.simplex import STABLE_SUM, Cap, project_capped_simplex, resolve_cap
from trademl.errors import Infeasible, Numerical, SolverError
from trademl.quant.arrays import FloatArray

Attempt = tuple[str, Callable[[], FloatArray]]
Method = Callable[[FloatArray, FloatArray, float | None], SolverResult]

LINKAGES = ("single", "complete", "average", "weighted", "ward")


def hrp(
    cov: FloatArray,
    *,
    linkage: str = "single",
    reorder_leaves: bool = False,
    cap: float | None = None,
    kappa_max: float | None = KAPPA_MAX,
) -> SolverResult:
    """Return hierarchical-risk-parity weights.

    Lopez de Prado, "Building diversified portfolios that outperform out of sample", J. Portfolio
    Management 42 (2016). Conventions: distance sqrt((1 - rho) / 2), tree on these distances,
    lists halved at n // 2, branches weighted by the variance of their inverse-variance portfolio.
    The order of leaves in a dendrogram depends on the order of the input, so the weights are not
    invariant under a permutation of the assets: keep the columns sorted.

    Args:
        cov: covariance, shape (n, n), per any period.
        linkage: one of ``LINKAGES``; single is the paper's.
        reorder_leaves: order the leaves so that neighbors are as close as possible (Bar-Joseph);
            this alone can move a weight by four points, and costs O(n^3).
        cap: upper bound per asset; weights above it are projected onto the capped simplex.
        kappa_max: largest accepted condition number, None to skip conditioning.

    Raises:
        InvalidCovariance: not a covariance.
        Infeasible: unknown linkage or cap.
    """
    if linkage not in LINKAGES:
        raise Infeasible(f"linkage must be one of {', '.join(LINKAGES)}, got {linkage!r}")
    ready, bound = _prepare(cov, cap, kappa_max)
    attempts = [("hrp", lambda: hrp_weights(ready.covariance, linkage, reorder_leaves))]
    return _first_success("hrp", attempts, ready, bound)


def min_variance(
    cov: FloatArray, *, cap: float | None = None, kappa_max: float | None = KAPPA_MAX
) -> SolverResult:
    """Return the long-only portfolio of least variance, w' cov w, with sum w = 1, w <= cap.

    Args:
        cov: covariance, shape (n, n), per any period.
        cap: upper bound per asset; raised to 1 / n (and recorded) where n assets cannot meet it.
        kappa_max: largest accepted condition number, None to skip conditioning.

    Raises:
        InvalidCovariance: not a covariance.
        SolverError: neither the active set nor Clarabel nor cvxpy found the optimum.
    """
    ready, bound = _prepare(cov, cap, kappa_max)
    matrix, limit = ready.covariance, bound.limit
    if _is_forced(bound, matrix.shape[0]):
        return _first_success(
            "min_variance", [_equal_weight_attempt(matrix.shape[0])], ready, bound
        )
    attempts: list[Attempt] = [
        ("active_set", lambda: active_set.min_variance_weights(matrix, limit)),
        ("clarabel", lambda: conic.clarabel_min_variance(matrix, limit)),
        ("cvxpy", lambda: conic.cvxpy_min_variance(matrix, limit)),
    ]
    return _first_success("min_variance", attempts, ready, bound)


def max_sharpe(
    mu: FloatArray,
    cov: FloatArray,
    *,
    cap: float | None = None,
    kappa_max: float | None = KAPPA_MAX,
) -> SolverResult:
    """Return the long-only portfolio of the highest mu' w / sqrt(w' cov w), w <= cap.

    Where no portfolio under the cap has a positive expected return the ratio is not a guide (it
    would reward variance): the minimum-variance portfolio is returned, and the chain says so.

    Args:
        mu: expected excess returns, shape (n,), of the same period as ``cov``.
        cov: covariance, shape (n, n).
        cap: upper bound per asset; raised to 1 / n (and recorded) where n assets cannot meet it.
        kappa_max: largest accepted condition number, None to skip conditioning.

    Raises:
        InvalidCovariance: not a covariance, or ``mu`` of another shape or not finite.
        SolverError: no solver found the optimum.
    """
    ready, bound = _prepare(cov, cap, kappa_max)
    mean = validate_mean(mu, ready.covariance.shape[0])
    matrix, limit = ready.covariance, bound.limit
    if _best_mean(mean, limit) <= 0.0:
        step = FallbackStep("max_sharpe", "no portfolio under the cap has a positive mean return")
        return min_variance(cov, cap=cap, kappa_max=kappa_max).after(step)
    if _is_forced(bound, matrix.shape[0]):
        return _first_success("max_sharpe", [_equal_weight_attempt(matrix.shape[0])], ready, bound)
    attempts: list[Attempt] = [
        ("active_set", lambda: active_set.max_sharpe_weights(mean, matrix, limit)),
        ("clarabel", lambda: conic.clarabel_max_sharpe(mean, matrix, limit)),
        ("cvxpy", lambda: conic.cvxpy_max_sharpe(mean, matrix, limit)),
    ]
    return _first_success("max_sharpe", attempts, ready, bound)


def risk_parity(
    cov: FloatArray,
    *,
    budgets: FloatArray | None = None,
    cap: float | None = None,
    kappa_max: float | None = KAPPA_MAX,
) -> SolverResult:
    """Return the long-only portfolio whose risk contributions follow the budgets.

    Maillard, Roncalli and Teiletche, "The properties of equally weighted risk contribution
    portfolios", J. Portfolio Management 36 (2010).

    Args:
        cov: covariance, shape (n, n), per any period.
        budgets: positive shares of risk, shape (n,), normalized here; equal by default.
        cap: upper bound per asset; weights above it are projected onto the capped simplex.
        kappa_max: largest accepted condition number, None to skip conditioning.

    Raises:
        InvalidCovariance: not a covariance.
        Infeasible: a budget that is not positive.
        Numerical: the iteration did not converge.
    """
    ready, bound = _prepare(cov, cap, kappa_max)
    shares = _budgets(budgets, ready.covariance.shape[0])
    attempts = [("newton_cg", lambda: risk_parity_weights(ready.covariance, shares))]
    return _first_success("risk_parity", attempts, ready, bound)


def equal_weight(n: int, cap: float | None = None) -> SolverResult:
    """Return 1 / n for each of n assets; a cap below that is relaxed to it and recorded.

    Raises:
        Infeasible: n below 1, or a cap that is not positive.
    """
    if n < 1:
        raise Infeasible(f"equal_weight needs at least one asset, got {n}")
    unknown = Conditioned(np.empty((0, 0)), float("nan"), float("nan"), 0.0)
    return _first_success("equal_weight", [_equal_weight_attempt(n)], unknown, resolve_cap(cap, n))


def _equal_weight_of(cov: FloatArray, cap: float | None) -> SolverResult:
    """Equal weights beside a covariance, whose condition number is recorded though not used."""
    kappa = condition_number(cov)
    result = equal_weight(cov.shape[0], cap)
    return replace(result, kappa_before=kappa, kappa_after=kappa)


METHODS: Mapping[str, Method] = {
    "hrp": lambda _mu, cov, cap: hrp(cov, cap=cap),
    "max_sharpe": lambda mu, cov, cap: max_sharpe(mu, cov, cap=cap),
    "min_variance": lambda _mu, cov, cap: min_variance(cov, cap=cap),
    "risk_parity": lambda _mu, cov, cap: risk_parity(cov, cap=cap),
    "erc": lambda _mu, cov, cap: risk_parity(cov, cap=cap),
    "equal_weight": lambda _mu, cov, cap: _equal_weight_of(cov, cap),
}
"""Every portfolio by name, as (mu, cov, cap) -> result."""

FALLBACKS: Mapping[str, Sequence[str]] = {
    "max_sharpe": ("max_sharpe", "min_variance", "erc", "equal_weight"),
    "min_variance": ("min_variance", "erc", "equal_weight"),
    "hrp": ("hrp", "erc", "equal_weight"),
    "risk_parity": ("risk_parity", "equal_weight"),
    "erc": ("erc", "equal_weight"),
    "equal_weight": ("equal_weight",),
}
"""What is tried in turn for each portfolio."""


def solve_with_fallback(
    name: str,
    mu: FloatArray,
    cov: FloatArray,
    cap: float | None = None,
    *,
    methods: Mapping[str, Method] = METHODS,
) -> SolverResult:
    """Solve a named portfolio, going down its fallback chain with every failure on record.

    max_sharpe -> min_variance -> erc -> equal_weight; hrp goes to erc. A method
    counts as failed when it raises a ``SolverError`` or its weights do not pass the stable-sum
    gate; broken input is not a failed method and raises at once.

    Args:
        name: a key of ``FALLBACKS``.
        mu: expected returns, shape (n,); used by max_sharpe only.
        cov: covariance, shape (n, n).
        cap: upper bound per asset.
        methods: the methods by name.

    Returns:
        The first acceptable result; ``fallback_chain`` lists what failed before it and why.

    Raises:
        Infeasible: unknown name, or a cap that is not positive.
        InvalidCovariance: broken ``cov`` or ``mu``.
        SolverError: the whole chain failed.
    """
    if name not in FALLBACKS:
        raise Infeasible(f"unknown portfolio {name!r}, use one of {', '.join(FALLBACKS)}")
    validate_mean(mu, validate_covariance(cov).shape[0])
    resolve_cap(cap, cov.shape[0])
    given_up: list[FallbackStep] = []
    for method in FALLBACKS[name]:
        try:
            result = methods[method](mu, cov, cap)
            check_stable_sum(result.weights)
        except InvalidCovariance:
            raise
        except SolverError as error:
            given_up.append(FallbackStep(method, str(error)))
        else:
            return result.after(*given_up)
    reasons = "; ".join(f"{step.method}: {step.reason}" for step in given_up)
    raise Numerical(f"every method of {name} failed: {reasons}")


def check_stable_sum(weights: FloatArray) -> None:
    """Refuse weights that are not finite or whose gross sum is at most 1e-6.

    An all-zero answer must never be scaled up to a portfolio.

    Raises:
        Numerical: the weights do not pass.
    """
    if not np.isfinite(weights).all():
        raise Numerical("the solver returned weights that are not finite")
    gross = float(np.abs(weights).sum())
    if gross <= STABLE_SUM:
        raise Numerical(f"stable-sum gate: sum of |weights| is {gross:.1e}, must exceed 1e-6")


def _prepare(
    cov: FloatArray, cap: float | None, kappa_max: float | None
) -> tuple[Conditioned, Cap]:
    matrix = validate_covariance(cov)
    return condition(matrix, kappa_max), resolve_cap(cap, matrix.shape[0])


def _is_forced(bound: Cap, n_assets: int) -> bool:
    """Whether the cap leaves equal weights as the only portfolio."""
    return bound.limit * n_assets <= 1.0 + 1e-12


def _equal_weight_attempt(n_assets: int) -> Attempt:
    return "closed_form", lambda: np.full(n_assets, 1.0 / n_assets)


def _best_mean(mean: FloatArray, cap: float) -> float:
    """The highest expected return of any portfolio under the cap: fill from the best down."""
    ranked = np.sort(mean)[::-1]
    filled = np.minimum(np.arange(1, mean.size + 1) * cap, 1.0)
    return float(ranked @ np.diff(filled, prepend=0.0))


def _budgets(budgets: FloatArray | None, n_assets: int) -> FloatArray:
    if budgets is None:
        return np.full(n_assets, 1.0 / n_assets)
    shares = np.asarray(budgets, dtype=np.float64)
    if shares.shape != (n_assets,) or not np.isfinite(shares).all() or shares.min() <= 0.0:
        raise Infeasible(f"budgets must be {n_assets} positive numbers, got {budgets!r}")
    return np.asarray(shares / shares.sum())


def _first_success(
    method: str, attempts: Sequence[Attempt], ready: Conditioned, bound: Cap
) -> SolverResult:
    """Run the attempts in turn and wrap the first success; the last failure is raised."""
    given_up: list[FallbackStep] = []
    for position, (solver, attempt) in enumerate(attempts):
        try:
            weights = attempt()
            check_stable_sum(weights)
            break
        except SolverError as error:
            if position == len(attempts) - 1:
                raise
            given_up.append(FallbackStep(solver, str(error)))
    capped = project_capped_simplex(weights, bound.limit)
    return SolverResult(
        weights=capped,
        status="optimal",
        solver=solver,
        kappa_before=ready.kappa_before,
        kappa_after=ready.kappa_after,
        fallback_chain=tuple(given_up),
        shrinkage=ready.shrinkage,
        method=method,
        cap=bound.reported,
        cap_relaxed=bound.is_relaxed,
        is_projected=bool(np.abs(capped - weights).max() > STABLE_SUM),
    )
