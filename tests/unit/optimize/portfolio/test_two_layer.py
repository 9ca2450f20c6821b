from collections.abc import Mapping

import numpy as np
import pytest

from optimize.portfolio import two_layer as module
from optimize.portfolio.flatten import flatten
from optimize.portfolio.two_layer import Portfolio, build_portfolios
from optimize.solvers.api import METHODS
from optimize.solvers.result import SolverResult
from tests.support.candidates import changed, make_matrix
from trademl.errors import GateFailed, Numerical
from trademl.quant.arrays import FloatArray

CLUSTERS = {f"C{number}": [f"S{number * 4 + k:02d}" for k in range(4)] for number in range(5)}


def streams(n: int = 20, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factors = rng.normal(0.0003, 0.01, (400, 5))
    return factors[:, np.arange(n) // 4] + rng.normal(0.0, 0.006, (400, n)) * (1 + np.arange(n) % 4)


def build(
    values: np.ndarray, cap: float = 0.25, clusters: Mapping[str, list[str]] = CLUSTERS
) -> dict[str, Portfolio]:
    profile = changed("us_equities_long")
    matrix = make_matrix(values)
    built = build_portfolios(matrix, clusters, profile, cap, len(matrix.names))
    return {item.name: item for item in built}


@pytest.mark.parametrize("cap", [0.25, 0.22, 0.20])
def test_weights_are_on_the_simplex_and_under_both_caps(cap: float) -> None:
    for item in build(streams(), cap).values():
        assert item.weights.sum() == pytest.approx(1.0, abs=1e-6)
        assert item.weights.min() >= 0.0
        assert item.weights.max() <= 0.10 + 1e-9
        assert max(item.cluster_weights.values()) <= cap + 1e-9
        assert item.limits.relaxed == {}


def test_an_unattainable_cap_is_relaxed_and_said_so() -> None:
    found = build(streams(), 0.15)["hrp"]
    assert found.limits.relaxed["cluster_cap"] == pytest.approx((0.15, 0.20))
    assert max(found.cluster_weights.values()) <= 0.20 + 1e-9


def test_a_lone_name_holds_its_cluster_to_the_name_cap() -> None:
    """The solver may give its cluster a quarter; the name may have a tenth, the rest moves on."""
    others = [f"S{number:02d}" for number in range(1, 20)]
    uneven = {"C0": ["S00"], **{f"C{k + 1}": others[k::4] for k in range(4)}}
    values = streams()
    values[:, 0] *= 0.2  # the calmest stream: every risk-based portfolio wants much of it
    for item in build(values, 0.30, uneven).values():
        assert item.weights.sum() == pytest.approx(1.0, abs=1e-9)
        assert item.weights[item.atoms.index("S00")] <= 0.10 + 1e-12
        assert item.cluster_weights["C0"] == pytest.approx(item.weights[0])


def test_inside_a_cluster_weights_follow_inverse_variance() -> None:
    profile = changed("us_equities_long", risk={"name_cap": 1.0, "cluster_cap": 1.0})
    matrix = make_matrix(streams())
    found = build_portfolios(matrix, CLUSTERS, profile, 1.0, 20)[0]
    columns = [matrix.names.index(name) for name in CLUSTERS["C2"]]
    share = found.weights[columns] / found.weights[columns].sum()
    precision = 1.0 / matrix.values[:, columns].var(axis=0)
    assert np.allclose(share, precision / precision.sum())


def test_equal_weight_is_over_names_not_clusters() -> None:
    profile = changed("us_equities_long", risk={"cluster_cap": 1.0})
    uneven = {"C0": ["S00"], "C1": [f"S{number:02d}" for number in range(1, 20)]}
    built = build_portfolios(make_matrix(streams()), uneven, profile, 1.0, 20)
    found = next(item for item in built if item.name == "equal_weight")
    assert np.allclose(found.weights, 0.05)


def test_a_failed_solver_falls_back_and_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(mu: FloatArray, cov: FloatArray, cap: float | None) -> SolverResult:
        raise Numerical("did not converge")

    monkeypatch.setattr(module, "METHODS", {**METHODS, "max_sharpe": broken})
    found = build(streams())["max_sharpe"]
    assert found.solver.method == "min_variance"
    assert [step.method for step in found.solver.fallback_chain] == ["max_sharpe"]
    assert "did not converge" in found.solver.fallback_chain[0].reason


def test_zero_weights_are_not_scaled_up_to_a_portfolio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stable-sum gate rejects, the fallback is recorded."""

    def empty(mu: FloatArray, cov: FloatArray, cap: float | None) -> SolverResult:
        zeros = np.full(cov.shape[0], 1e-9)
        return SolverResult(zeros, "optimal", "broken", 1.0, 1.0, method="min_variance")

    monkeypatch.setattr(module, "METHODS", {**METHODS, "min_variance": empty})
    found = build(streams())["min_variance"]
    assert found.solver.method != "min_variance"
    assert "stable-sum gate" in found.solver.fallback_chain[0].reason
    assert found.weights.sum() == pytest.approx(1.0)


def test_streams_that_never_move_are_left_out_but_not_too_many() -> None:
    values = streams()
    values[:, 0] = 0.001
    assert "S00" not in build(values)["hrp"].atoms
    values[:, :7] = 0.001
    with pytest.raises(GateFailed, match="PORTFOLIO_COVERAGE: 13 of 20"):
        build(values)


def test_an_atom_without_a_cluster_is_an_error() -> None:
    partial = {name: members for name, members in CLUSTERS.items() if name != "C4"}
    with pytest.raises(GateFailed, match="PREOPT_CLUSTERS: S16"):
        build(streams(), clusters=partial)


def test_flattening_keeps_net_and_gross_apart() -> None:
    template = build(streams())["hrp"]
    pair = Portfolio(
        name="hrp",
        atoms=("A_trend_LONG", "A_trend_SHORT", "B_trend_SHORT"),
        weights=np.array([0.3, 0.3, 0.4]),
        cluster_ids=("C1", "C1", "C2"),
        cluster_weights={"C1": 0.6, "C2": 0.4},
        limits=template.limits,
        solver=template.solver,
        is_capped=False,
    )
    row = {"market": "XNYS", "sector": None}
    atoms = {
        "A_trend_LONG": {"physical_symbol": "A", "direction": "LONG", **row},
        "A_trend_SHORT": {"physical_symbol": "A", "direction": "SHORT", **row},
        "B_trend_SHORT": {"physical_symbol": "B", "direction": "SHORT", **row},
    }
    first, second = flatten([pair], atoms)["hrp"]["assets"]
    assert (first["Symbol"], first["Net_Weight"], first["Gross_Weight"]) == ("A", 0.0, 0.6)
    assert first["Direction"] == "FLAT"
    assert (second["Symbol"], second["Net_Weight"], second["Direction"]) == ("B", -0.4, "SHORT")
    assert second["Weight"] == second["Gross_Weight"] == 0.4
