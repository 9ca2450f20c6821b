"""The steps from streams to signed weights: L4 of the pipeline."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from optimize.inputs.returns import ReturnsMatrix, read_matrix
from optimize.portfolio import regime as regimes
from optimize.portfolio.flatten import flatten
from optimize.portfolio.preopt import (
    ANTIFRAGILITY_FILE,
    CLUSTERS_FILE,
    CORRELATIONS_FILE,
    REGIME_FILE,
    PreOpt,
    antifragility_stats,
    correlations,
    load_preopt,
    synthetic_clusters,
)
from optimize.portfolio.two_layer import Portfolio, build_portfolios
from optimize.sleeve.context import FLATTENED_FILE, OPTIMIZED_FILE, SYNTHETIC_FILE, Run, Selected
from optimize.synthesis.sign_test import OptimizedWeight
from trademl.errors import GateFailed

MAX_GAP_RATIO = 0.10
WEIGHT_TOLERANCE = 1e-6
SPARSITY_CORRELATION = 0.999


def preopt(run: Run, selected: Selected) -> None:
    """risk.preopt: health, persistence, clusters, antifragility, regime and its cap, on file."""
    with run.ledger.step("risk.preopt") as out:
        synthetic = read_matrix(run.data / SYNTHETIC_FILE)
        profile = run.profile
        candidates = {
            won.scored.candidate.atom_id: won.scored.candidate for won in selected.result.winners
        }
        gap_ratio = _check_health(run, synthetic)
        regime = _regime(run, selected)
        cap = regimes.cluster_cap(profile.risk.cluster_cap, regime.name, profile.risk.regime_caps)
        documents: dict[str, dict[str, Any]] = {
            CLUSTERS_FILE: {"clusters": synthetic_clusters(synthetic, profile)},
            CORRELATIONS_FILE: correlations(synthetic),
            ANTIFRAGILITY_FILE: {
                "records": antifragility_stats(
                    synthetic, candidates, profile.optimizer.periods_per_year
                )
            },
            REGIME_FILE: {
                "decision_regime": regime.as_dict(),
                "cluster_cap": cap,
                "base_cluster_cap": profile.risk.cluster_cap,
            },
            "persistence.json": {"atoms": _persistence(synthetic, selected)},
        }
        for name, content in documents.items():
            out.output_hashes |= run.writer.json(run.data / name, content)
        out.metrics |= {
            "regime": regime.name,
            "regime_score": regime.score,
            "cluster_cap": cap,
            "clusters": len(documents[CLUSTERS_FILE]["clusters"]),
            "gap_ratio": gap_ratio,
        }


def _regime(run: Run, selected: Selected) -> regimes.Regime:
    """From the raw returns of the whole pool: shorts turned round would mix one market's signs."""
    return regimes.detect(
        selected.aggregation.matrix.values.mean(axis=1),
        run.profile.optimizer.periods_per_year,
        run.profile.risk.regime,
        spectral=run.profile.features.feat_spectral_regimes,
    )


def _check_health(run: Run, synthetic: ReturnsMatrix) -> float:
    """The share of expected sessions that trimming cost; more than a tenth is not a basis."""
    first, last = synthetic.dates[0], synthetic.dates[-1]
    if run.profile.data.calendar is None:
        expected = (last - first).days + 1
    else:
        row = run.connection.execute(
            "select count(distinct session_date) from reference.calendars "
            "where exchange = $1 and session_date between $2 and $3",
            [run.profile.data.calendar, first, last],
        ).fetchone()
        expected = int(row[0]) if row else 0
    gap_ratio = 1.0 - len(synthetic.dates) / expected if expected else 1.0
    if gap_ratio > MAX_GAP_RATIO:
        raise GateFailed(
            f"HEALTH_GAPS: {gap_ratio:.1%} of {expected} sessions are missing from the streams, "
            f"at most {MAX_GAP_RATIO:.0%} may be: backfill the candidates"
        )
    return gap_ratio


def _persistence(synthetic: ReturnsMatrix, selected: Selected) -> dict[str, dict[str, Any]]:
    hursts = {
        won.scored.candidate.atom_id: won.scored.candidate.features["hurst"]
        for won in selected.result.winners
    }
    return {
        name: {"hurst": hursts[name], "lag1_autocorrelation": _lag1(stream)}
        for name, stream in zip(synthetic.names, synthetic.values.T, strict=True)
    }


def _lag1(stream: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    centered = stream - stream.mean()
    energy = float(centered @ centered)
    return float(centered[1:] @ centered[:-1]) / energy if energy > 0.0 else None


def optimize(
    run: Run, selected: Selected
) -> tuple[ReturnsMatrix, PreOpt, tuple[Portfolio, ...], list[OptimizedWeight]]:
    """risk.optimize: refuses without the files of pre-opt, then solves every portfolio."""
    with run.ledger.step("risk.optimize", run.profile.optimizer.model_dump()) as out:
        pre_opt = load_preopt(run.data)
        synthetic = read_matrix(run.data / SYNTHETIC_FILE)
        portfolios = build_portfolios(
            synthetic,
            pre_opt.clusters,
            run.profile,
            pre_opt.cluster_cap,
            len(selected.result.winners),
        )
        for portfolio in portfolios:
            _check_portfolio(portfolio)
        atoms = _atoms(selected)
        content = _optimized(run, pre_opt, portfolios, atoms)
        out.output_hashes |= run.writer.json(run.data / OPTIMIZED_FILE, content)
        out.metrics |= {item.name: _solver_record(item) for item in portfolios}
        out.context |= {"warnings": _anomalies(portfolios)}
    checked = next(
        (item for item in portfolios if item.name == "hrp"),
        next(item for item in portfolios if item.name == run.profile.optimizer.primary),
    )
    lines = [
        OptimizedWeight(row["Symbol"], row["Direction"], row["Net_Weight"])
        for row in content["profiles"][checked.name]["assets"]
    ]
    return synthetic, pre_opt, portfolios, lines


def _check_portfolio(portfolio: Portfolio) -> None:
    """The contract of this stage: on the simplex, no cluster and no name above its limit."""
    weights, limits = portfolio.weights, portfolio.limits
    total = float(weights.sum())
    if abs(total - 1.0) > WEIGHT_TOLERANCE or float(weights.min()) < -WEIGHT_TOLERANCE:
        raise GateFailed(f"WEIGHTS_OFF_SIMPLEX: {portfolio.name} sums to {total!r}")
    heaviest = max(portfolio.cluster_weights.values())
    if heaviest > limits.cluster_cap + WEIGHT_TOLERANCE:
        raise GateFailed(f"CLUSTER_CAP_BROKEN: {portfolio.name} has a cluster of {heaviest!r}")
    if float(weights.max()) > limits.name_cap + WEIGHT_TOLERANCE:
        raise GateFailed(f"NAME_CAP_BROKEN: {portfolio.name} has a name of {weights.max()!r}")


def _atoms(selected: Selected) -> dict[str, dict[str, Any]]:
    return {
        item.atom_id: {
            "physical_symbol": item.symbol,
            "direction": item.direction,
            "market": item.exchange,
            "sector": item.sector,
        }
        for item in (won.scored.candidate for won in selected.result.winners)
    }


def _optimized(
    run: Run,
    pre_opt: PreOpt,
    portfolios: tuple[Portfolio, ...],
    atoms: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """portfolio_optimized_v2.json: every profile over atoms, each a synthetic long."""
    regime = pre_opt.regime["decision_regime"]
    return {
        "profiles": {
            item.name: {"assets": _assets(item, atoms), "clusters": _clusters(item, atoms)}
            for item in portfolios
        },
        "cluster_registry": {
            cluster: {"symbols": members, "primary_sector": _primary_sector(members, atoms)}
            for cluster, members in pre_opt.clusters.items()
        },
        "optimization": {
            "regime": {key: regime[key] for key in ("name", "score", "quadrant")},
            "metrics": {item.name: _solver_record(item) for item in portfolios},
        },
        "metadata": {
            "generated_at": run.clock,
            "cluster_cap": pre_opt.cluster_cap,
            "name_cap": run.profile.risk.name_cap,
            "primary": run.profile.optimizer.primary,
            **run.lineage.as_dict(),
        },
    }


def _assets(portfolio: Portfolio, atoms: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    triples = zip(portfolio.atoms, portfolio.weights, portfolio.cluster_ids, strict=True)
    for atom, weight, cluster_id in triples:
        share = portfolio.cluster_weights[cluster_id]
        rows.append(
            {
                "Symbol": atom,
                "Weight": float(weight),
                "Net_Weight": float(weight),
                # A short atom's stream is already inverted: to the solver it is a long.
                "Direction": "LONG",
                "Cluster_ID": cluster_id,
                "Cluster_Weight": share,
                "Intra_Cluster_Weight": float(weight) / share if share > 0.0 else 0.0,
                "Type": "CORE",
                "Description": atoms[atom]["physical_symbol"],
                "Sector": atoms[atom]["sector"],
                "Market": atoms[atom]["market"],
            }
        )
    return sorted(rows, key=lambda row: (-row["Weight"], row["Symbol"]))


def _clusters(portfolio: Portfolio, atoms: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for cluster, weight in sorted(portfolio.cluster_weights.items()):
        members = [
            (float(share), atom)
            for atom, share, owner in zip(
                portfolio.atoms, portfolio.weights, portfolio.cluster_ids, strict=True
            )
            if owner == cluster
        ]
        lead = min(members, key=lambda pair: (-pair[0], pair[1]))[1]
        rows.append(
            {
                "Cluster_Label": cluster,
                "Gross_Weight": weight,
                "Net_Weight": weight,
                "Lead_Asset": lead,
                "Asset_Count": len(members),
                "Type": "CORE",
                "Sectors": sorted({atoms[atom]["sector"] or "unknown" for _, atom in members}),
            }
        )
    return rows


def _primary_sector(members: list[str], atoms: Mapping[str, Mapping[str, Any]]) -> str | None:
    sectors = [atoms[atom]["sector"] for atom in members if atoms[atom]["sector"]]
    return min(sectors, key=lambda name: (-sectors.count(name), name)) if sectors else None


def _solver_record(portfolio: Portfolio) -> dict[str, Any]:
    """How a portfolio was solved: everything that was not plain is in here by name."""
    solver, limits = portfolio.solver, portfolio.limits
    return {
        "method": solver.method,
        "solver": solver.solver,
        "status": solver.status,
        "kappa_before": _finite(solver.kappa_before),
        "kappa_after": _finite(solver.kappa_after),
        "shrinkage": solver.shrinkage,
        "fallback_chain": [
            {"method": step.method, "reason": step.reason} for step in solver.fallback_chain
        ],
        "is_capped": portfolio.is_capped,
        "cap_relaxed": {
            name: {"asked": requested, "applied": applied}
            for name, (requested, applied) in limits.relaxed.items()
        },
        "cluster_cap": limits.cluster_cap,
        "name_cap": limits.name_cap,
        "effective_names": float(1.0 / np.sum(portfolio.weights**2)),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _anomalies(portfolios: tuple[Portfolio, ...]) -> list[str]:
    """Portfolios that should differ and do not."""
    by_name = {item.name: item.weights for item in portfolios}
    if "hrp" not in by_name or "max_sharpe" not in by_name or by_name["hrp"].size < 3:
        return []
    left, right = by_name["hrp"], by_name["max_sharpe"]
    if left.std() == 0.0 or right.std() == 0.0:
        return []
    rho = float(np.corrcoef(left, right)[0, 1])
    return ["hrp and max_sharpe weights agree: sparsity"] if rho > SPARSITY_CORRELATION else []


def flatten_weights(
    run: Run, selected: Selected, portfolios: tuple[Portfolio, ...]
) -> dict[str, dict[str, Any]]:
    """risk.flatten: signed weights by physical symbol, for every portfolio."""
    with run.ledger.step("risk.flatten") as out:
        flattened = flatten(portfolios, _atoms(selected))
        out.output_hashes |= run.writer.json(
            run.data / FLATTENED_FILE,
            {
                "profiles": flattened,
                "metadata": {
                    "generated_at": run.clock,
                    "flattened": True,
                    "primary": run.profile.optimizer.primary,
                    **run.lineage.as_dict(),
                },
            },
        )
        for name, content in flattened.items():
            path = run.data / "weights" / f"{name}.csv"
            out.output_hashes |= run.writer.content(path, _csv(content["assets"]))
    return flattened


def _csv(assets: list[dict[str, Any]]) -> str:
    lines = ["symbol,direction,net_weight,gross_weight,cluster_id"]
    for row in assets:
        net, gross = repr(row["Net_Weight"]), repr(row["Gross_Weight"])
        lines.append(f"{row['Symbol']},{row['Direction']},{net},{gross},{row['Cluster_ID']}")
    return "\n".join(lines) + "\n"
