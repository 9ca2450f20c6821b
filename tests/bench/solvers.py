"""Goals G6 and G7: portfolio solvers and CPCV indices beside their peers, as JSON lines.

Every round runs the contenders in turn; a line gives the median seconds of each, how many times
faster ours is, the goal, and how far the two answers are apart. Run it from the root of the
project: ``python tests/bench/solvers.py [--assets 500] [--symbols 800] [--rounds 3]``.

G6: ten-factor returns of 750 days, Ledoit-Wolf covariance, long-only, cap 5 %. All start from the
same finished covariance; ours is timed with its conditioning step switched off (peers have none)
and, beside it, with it. G7: one row per symbol and session over 2520 sessions, exact label ends.
"""

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# One BLAS thread for every contender: with two on a busy machine of two cores they wait for each
# other, and a solve of 5 ms was seen to take 1.4 s.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models_ml.validation.cpcv import CombinatorialPurgedCV
from optimize.solvers.api import hrp, max_sharpe, min_variance, risk_parity
from optimize.solvers.covariance import ledoit_wolf

CAP = 0.05
Solve = Callable[[], np.ndarray]


def main() -> None:
    """Print one JSON line per comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=500)
    parser.add_argument("--symbols", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' deprecations are not what is measured
    for line in (*solver_lines(options.assets, options.rounds), index_line(options)):
        print(json.dumps(line), flush=True)


def factor_returns(n_assets: int) -> np.ndarray:
    """Return 750 days of ten-factor returns, shape (750, n_assets)."""
    rng = np.random.default_rng(1)
    loadings = 0.3 * rng.standard_normal((10, n_assets))
    loadings[0] += 1.0
    noise = rng.standard_normal((750, n_assets)) * 0.015 * (1.0 + rng.random(n_assets))
    return rng.standard_normal((750, 10)) @ loadings * 0.01 + noise + 0.0003


def medians(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Run the contenders in turn, after one warm-up each, and return median seconds."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if round_number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def solver_lines(n_assets: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Compare every portfolio with skfolio, and the convex ones with cvxpy."""
    returns = factor_returns(n_assets)
    cov, mu = ledoit_wolf(returns).covariance, returns.mean(axis=0)
    peers = skfolio_peers(returns, cov)
    dense = cvxpy_peers(mu, cov)
    goals = {"min_variance": 50, "hrp": 100, "risk_parity": 300, "max_sharpe": 4}
    for name, goal in goals.items():
        contenders: dict[str, Solve] = {
            "ours": lambda name=name: ours(name, mu, cov, None),
            "ours_conditioned": lambda name=name: ours(name, mu, cov, 5000.0),
            "skfolio": peers[name],
        }
        if name in dense:
            contenders["cvxpy"] = dense[name]
        seconds = medians(contenders, rounds)
        weights = {key: contenders[key]() for key in contenders}
        yield {
            "goal": "G6",
            "portfolio": name,
            "assets": n_assets,
            "seconds": {key: round(value, 6) for key, value in seconds.items()},
            "times_faster_than_skfolio": round(seconds["skfolio"] / seconds["ours"], 1),
            "goal_times": goal,
            "objective": {key: objective(name, w, mu, cov) for key, w in weights.items()},
            "largest_weight": {key: float(w.max()) for key, w in weights.items()},
            "weights_apart": float(np.abs(weights["ours"] - weights["skfolio"]).max()),
        }


def ours(name: str, mu: np.ndarray, cov: np.ndarray, kappa_max: float | None) -> np.ndarray:
    """Solve one of our portfolios."""
    if name == "min_variance":
        return min_variance(cov, cap=CAP, kappa_max=kappa_max).weights
    if name == "max_sharpe":
        return max_sharpe(mu, cov, cap=CAP, kappa_max=kappa_max).weights
    if name == "hrp":
        return hrp(cov, kappa_max=kappa_max).weights
    return risk_parity(cov, kappa_max=kappa_max).weights


def objective(name: str, weights: np.ndarray, mu: np.ndarray, cov: np.ndarray) -> float:
    """Return variance (min_variance, hrp), Sharpe ratio, or the largest error of a risk share."""
    variance = float(weights @ cov @ weights)
    if name == "max_sharpe":
        return float(mu @ weights) / variance**0.5
    if name == "risk_parity":
        return float(np.abs(weights * (cov @ weights) / variance - 1.0 / weights.size).max())
    return variance


def skfolio_peers(returns: np.ndarray, cov: np.ndarray) -> dict[str, Solve]:
    """Return the same portfolios by skfolio, with the covariance handed to it ready-made."""
    from skfolio.cluster import HierarchicalClustering, LinkageMethod
    from skfolio.distance import CovarianceDistance
    from skfolio.moments import BaseCovariance
    from skfolio.optimization import (
        HierarchicalRiskParity,
        MeanRisk,
        ObjectiveFunction,
        RiskBudgeting,
    )
    from skfolio.prior import EmpiricalPrior
    from skfolio.seriation import HierarchicalSeriation

    class Ready(BaseCovariance):
        def __init__(self) -> None:
            super().__init__(nearest=False)

        def fit(self, X: object, y: object = None) -> "Ready":
            self.covariance_ = cov
            return self

    prior = EmpiricalPrior(covariance_estimator=Ready())
    single = HierarchicalClustering(linkage_method=LinkageMethod.SINGLE)
    order = HierarchicalSeriation(hierarchical_clustering_estimator=single, optimal_ordering=False)
    models = {
        "min_variance": MeanRisk(prior_estimator=prior, max_weights=CAP),
        "max_sharpe": MeanRisk(
            ObjectiveFunction.MAXIMIZE_RATIO, prior_estimator=prior, max_weights=CAP
        ),
        "hrp": HierarchicalRiskParity(
            prior_estimator=prior,
            distance_estimator=CovarianceDistance(covariance_estimator=Ready()),
            seriation_estimator=order,
        ),
        "risk_parity": RiskBudgeting(prior_estimator=prior),
    }
    return {name: lambda model=model: model.fit(returns).weights_ for name, model in models.items()}


def cvxpy_peers(mu: np.ndarray, cov: np.ndarray) -> dict[str, Solve]:
    """Return the two quadratic programs as a user of cvxpy would write them, from a covariance."""
    import cvxpy as cp

    def least() -> np.ndarray:
        w = cp.Variable(mu.size)
        limits = [cp.sum(w) == 1, w >= 0, w <= CAP]
        cp.Problem(cp.Minimize(cp.quad_form(w, cp.psd_wrap(cov))), limits).solve(cp.CLARABEL)
        return np.asarray(w.value)

    def tangent() -> np.ndarray:
        y = cp.Variable(mu.size)
        limits = [(mu / mu.max()) @ y == 1, y >= 0, y <= CAP * cp.sum(y)]
        cp.Problem(cp.Minimize(cp.quad_form(y, cp.psd_wrap(cov * 1e4))), limits).solve(cp.CLARABEL)
        return np.asarray(y.value / y.value.sum())

    return {"min_variance": least, "max_sharpe": tangent}


def index_line(options: argparse.Namespace) -> dict[str, Any]:
    """Compare all 28 splits of a panel with skfolio's splitter on as many rows.

    The peer knows no panel: it gets the rows sorted by date and sizes multiplied by the symbols.
    """
    from skfolio.model_selection import CombinatorialPurgedCV as Peer

    n_symbols, n_sessions, horizon, embargo = options.symbols, 2520, 5, 10
    session = np.repeat(np.arange(n_sessions), n_symbols)
    ends = session + np.random.default_rng(0).integers(1, horizon + 1, session.size)
    fixed = session + horizon
    cv = CombinatorialPurgedCV(8, 2, embargo)
    peer = Peer(8, 2, purged_size=horizon * n_symbols, embargo_size=embargo * n_symbols)
    rows = session.reshape(-1, 1)
    contenders: dict[str, Callable[[], Any]] = {
        "ours_exact_label_ends": lambda: sum(train.size for train, _ in cv.split(session, ends)),
        "ours": lambda: sum(train.size for train, _ in cv.split(session, fixed)),
        "skfolio": lambda: sum(train.size for train, _ in peer.split(rows)),
    }
    seconds = medians(contenders, options.rounds)
    return {
        "goal": "G7",
        "rows": session.size,
        "splits": cv.n_splits,
        "seconds": {key: round(value, 4) for key, value in seconds.items()},
        "goal_seconds": 0.1,
        "times_faster_than_skfolio": round(seconds["skfolio"] / seconds["ours"], 1),
        "goal_times": 20,
        "training_rows": {key: int(run()) for key, run in contenders.items()},
    }


if __name__ == "__main__":
    main()
