"""The steps from the gate to synthetic streams: L0 to L3 of the pipeline."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from optimize.inputs.foundation import (
    CALENDARS,
    CATALOG,
    FEATURES,
    RETURNS,
    FoundationReport,
    check_matrix,
)
from optimize.inputs.pinned_model import contributions, score
from optimize.inputs.pool import EXECUTION, Pool, read_pool, require_metadata
from optimize.inputs.returns import (
    Aggregation,
    ReturnsMatrix,
    build_matrix,
    read_matrix,
    read_returns,
)
from optimize.profiles import MODEL_SCORE
from optimize.selection.attribution import Attribution, attribute, select_without_model
from optimize.selection.clustering import ClusterResult
from optimize.selection.funnel import (
    audit,
    candidate_record,
    cluster_candidates,
    select,
    veto_counts,
    winner_record,
)
from optimize.selection.inference import Inference, infer
from optimize.selection.relaxation import HtrResult
from optimize.sleeve.context import (
    ATTRIBUTION_FILE,
    RETURNS_FILE,
    SIGN_TEST_PRE_FILE,
    SYNTHETIC_FILE,
    Run,
    Selected,
)
from optimize.synthesis.sign_test import AtomDirection, OptimizedWeight, SignTestResult, sign_test
from optimize.synthesis.streams import synthesize
from trademl.errors import DataError, GateFailed
from trademl.quant.arrays import FloatArray

QUARANTINE = "quality.quarantine_bars"


def used_tables(run_tables: set[str], calendar: str | None) -> list[str]:
    """The lake tables that decide what a run computes, of those that exist."""
    tables = [RETURNS, FEATURES, CATALOG, *([CALENDARS] if calendar else [])]
    return [*tables, *([QUARANTINE] if QUARANTINE in run_tables else [])]


def ingest(run: Run) -> tuple[Pool, Aggregation]:
    """foundation.ingest: candidates, their returns matrix, and the gate on it."""
    profile = run.profile
    with run.ledger.step("foundation.ingest", {"lookback_days": profile.data.lookback_days}) as out:
        listed = run.candidates.symbols if run.candidates else None
        pool = read_pool(run.connection, profile, run.decision_date, listed)
        names = {item.security_id: item.symbol for item in pool.candidates}
        if len(set(names.values())) != len(pool.candidates):
            raise GateFailed("CANDIDATES_NOT_UNIQUE: two candidates share a symbol: check symbols")
        raw = read_returns(
            run.connection,
            profile.asset_class,
            run.decision_date,
            profile.data.lookback_days,
            names,
        )
        traded = frozenset(raw.names) if profile.asset_class == "equity" else frozenset[str]()
        aggregation = build_matrix(raw, profile.data, traded)
        broken = check_matrix(aggregation.matrix, profile)
        if broken:
            raise GateFailed("; ".join(f"{finding.code}: {finding.message}" for finding in broken))
        records = [candidate_record(item) for item in pool.candidates]
        out.output_hashes |= run.writer.parquet(
            run.data / RETURNS_FILE, aggregation.matrix.to_arrow()
        )
        out.output_hashes |= run.writer.json(
            run.data / "portfolio_candidates_raw.json",
            {"data": records, "dropped": aggregation.dropped, "funnel": pool.funnel},
        )
        out.metrics |= {**aggregation.counts, "dropped": len(aggregation.dropped)}
        kept_symbols = set(aggregation.matrix.names)
        kept_pool = pool.keep(
            {item.atom_id for item in pool.candidates if item.symbol in kept_symbols}
        )
        out.metrics |= require_metadata(kept_pool.candidates, profile.data.min_metadata_ratio)
    return kept_pool, aggregation


def lookup_features(run: Run, pool: Pool) -> None:
    """foundation.features: the slice of the feature store that the run used, and its metadata."""
    with run.ledger.step("foundation.features", {"decision_date": str(run.decision_date)}) as out:
        out.output_hashes |= run.writer.parquet(run.data / "features_slice.parquet", pool.rows)
        meta = {item.symbol: _meta(candidate_record(item)) for item in pool.candidates}
        out.output_hashes |= run.writer.json(run.data / "portfolio_meta.json", {"symbols": meta})
        out.metrics |= {"candidates": len(pool.candidates), "computed_features": 0}


def _meta(record: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("security_id", "market", "asset_class", "sector", "logic", "direction", *EXECUTION)
    return {key: record[key] for key in keys}


def choose(run: Run, pool: Pool, aggregation: Aggregation, toxic: frozenset[str]) -> Selected:
    """alpha.inference, alpha.clustering and alpha.policy."""
    inference = _infer(run, pool)
    clusters, cluster_of = _cluster(run, pool, aggregation)
    with run.ledger.step("alpha.policy", run.profile.selection.model_dump()) as out:
        result = select(pool, inference, cluster_of, run.profile, toxic)
        funnel = _funnel(pool, result)
        out.output_hashes |= run.writer.json(
            run.data / "selection_audit.json",
            audit(result, clusters, cluster_of, funnel, run.profile),
        )
        winners = [winner_record(won) for won in result.winners]
        out.output_hashes |= run.writer.json(
            run.data / "portfolio_candidates.json", {"data": winners, "scarcity": result.is_scarce}
        )
        atoms = [{key: winner[key] for key in _ATOM_KEYS} for winner in winners]
        out.output_hashes |= run.writer.json(run.data / "atoms.json", {"atoms": atoms})
        attribution = _attribute(run, pool, inference, cluster_of, toxic, result)
        out.output_hashes |= run.writer.json(
            run.data / ATTRIBUTION_FILE, attribution.record(inference)
        )
        out.metrics |= {
            **funnel,
            "relaxation_stage": result.stage,
            "scarcity": result.is_scarce,
            "vetoes": veto_counts(result),
        }
    return Selected(pool, aggregation, inference, clusters, result, funnel, attribution)


def _attribute(
    run: Run,
    pool: Pool,
    inference: Inference,
    cluster_of: Mapping[str, int],
    toxic: frozenset[str],
    result: HtrResult,
) -> Attribution:
    without = select_without_model(pool, inference, cluster_of, run.profile, toxic, result)
    return attribute(pool, inference, result, _model_terms(run, pool, result), without)


def _model_terms(run: Run, pool: Pool, result: HtrResult) -> dict[str, FloatArray]:
    """What the model's features say for each winner; of the winners only, because it is slow."""
    ranking = run.profile.ranking.get(MODEL_SCORE)
    if run.model is None or ranking is None:
        return {}
    names = [won.scored.candidate.atom_id for won in result.winners]
    kept = pool.keep(set(names))
    place = {item.atom_id: row for row, item in enumerate(kept.candidates)}
    values = contributions(run.model, kept)[[place[name] for name in names]]
    sign = -1.0 if ranking.directional and run.profile.direction == "SHORT" else 1.0
    return {name: sign * values[:, column] for column, name in enumerate(run.model.features)}


_ATOM_KEYS = (
    "atom_id",
    "physical_symbol",
    "security_id",
    "logic",
    "direction",
    "timescale",
    "market",
    "sector",
)


def _infer(run: Run, pool: Pool) -> Inference:
    model_hash = run.model.sha256 if run.model else None
    with run.ledger.step("alpha.inference", {}, {"model": model_hash}) as out:
        scores = score(run.model, pool) if run.model else None
        inference = infer(pool, run.profile, scores)
        out.output_hashes |= run.writer.parquet(
            run.data / "inference_outputs.parquet", inference.to_arrow()
        )
        out.output_hashes |= run.writer.json(
            run.data / "inference_metadata.json",
            {**inference.metadata(), "model_sha256": model_hash},
        )
        out.metrics |= {"candidates": len(inference.atoms), "absent": list(inference.absent)}
    return inference


def _cluster(
    run: Run, pool: Pool, aggregation: Aggregation
) -> tuple[ClusterResult, dict[str, int]]:
    with run.ledger.step("alpha.clustering", run.profile.clusters.model_dump()) as out:
        clusters = cluster_candidates(aggregation.matrix, run.profile)
        label_of = dict(zip(aggregation.matrix.names, clusters.labels.tolist(), strict=True))
        cluster_of = {item.atom_id: label_of[item.symbol] for item in pool.candidates}
        out.output_hashes |= run.writer.json(
            run.data / "selection_clusters.json", {"clusters": cluster_of}
        )
        out.metrics |= {"clusters": clusters.n_clusters, "is_recut": clusters.is_recut}
    return clusters, cluster_of


def _funnel(pool: Pool, result: HtrResult) -> dict[str, int]:
    barred = [
        atom
        for atom, atom_vetoes in result.vetoes.items()
        if any(veto.is_hard for veto in atom_vetoes)
    ]
    return {
        **pool.funnel,
        "with_history": len(pool.candidates),
        "without_hard_veto": len(pool.candidates) - len(barred),
        "winners": len(result.winners),
    }


def synthesize_streams(run: Run, selected: Selected) -> None:
    """alpha.synthesis: one stream per atom, shorts inverted with the loss cap."""
    with run.ledger.step("alpha.synthesis") as out:
        winners = sorted(selected.result.winners, key=lambda won: won.scored.candidate.atom_id)
        chosen = [won.scored.candidate for won in winners]
        raw = selected.aggregation.matrix.select(tuple(item.symbol for item in chosen))
        streams = synthesize(raw.values, [item.direction for item in chosen])
        matrix = ReturnsMatrix(raw.dates, tuple(item.atom_id for item in chosen), streams)
        check_synthetic(matrix)
        out.output_hashes |= run.writer.parquet(run.data / SYNTHETIC_FILE, matrix.to_arrow())
        signs = {
            item.atom_id: {item.symbol: -1 if item.direction == "SHORT" else 1} for item in chosen
        }
        out.output_hashes |= run.writer.json(
            run.data / "synthetic_meta.json", {"composition_map": signs}
        )
        out.metrics |= {"atoms": len(chosen), "sessions": len(matrix.dates)}


def check_synthetic(matrix: ReturnsMatrix) -> None:
    """The SyntheticMatrix contract: columns there, dense, within [-1, 5].

    Raises:
        DataError: It is broken.
    """
    values = matrix.values
    if not matrix.names or not values.size:
        raise DataError("SyntheticMatrix has no atom or no session")
    if not np.isfinite(values).all() or values.min() < -1.0 or values.max() > 5.0:
        raise DataError("SyntheticMatrix holds a value outside [-1, 5] or none at all")


def run_sign_test(
    run: Run,
    selected: Selected,
    file_name: str = SIGN_TEST_PRE_FILE,
    optimized: list[OptimizedWeight] | None = None,
) -> SignTestResult | None:
    """alpha.sign_test: on the files as written, because those are what the solver reads.

    Raises:
        GateFailed: The test found an error; its file is on disk by then.
    """
    if not run.profile.features.feat_directional_sign_test_gate_atomic:
        run.ledger.skipped("alpha.sign_test", "feat_directional_sign_test_gate_atomic is off")
        return None
    phase = "pre" if optimized is None else "post"
    with run.ledger.step("alpha.sign_test", {"phase": phase, "atol": 0.0}) as out:
        atoms = [
            AtomDirection(item.atom_id, item.symbol, item.direction)
            for item in (won.scored.candidate for won in selected.result.winners)
        ]
        result = sign_test(
            read_matrix(run.data / SYNTHETIC_FILE),
            read_matrix(run.data / RETURNS_FILE),
            atoms,
            optimized=optimized,
            run_id=run.run_id,
        )
        out.output_hashes |= run.writer.json(run.data / file_name, sign_test_record(result))
        out.metrics |= {"errors": result.errors, "checked_atoms": result.checked_atoms}
        if result.errors:
            first = result.findings[0]
            raise GateFailed(
                f"sign test ({phase}-opt) found {result.errors} errors, first {first.code} "
                f"{first.symbol}: {first.message}"
            )
    return result


def sign_test_record(result: SignTestResult) -> dict[str, Any]:
    """The content of a sign-test file."""
    return {
        "errors": result.errors,
        "warnings": result.warnings,
        "checked_atoms": result.checked_atoms,
        "atol": result.atol,
        "findings": [
            {
                "level": finding.level,
                "code": finding.code,
                "run_id": finding.run_id,
                "symbol": finding.symbol,
                "message": finding.message,
            }
            for finding in result.findings
        ],
    }


def toxic_securities(run: Run, tables: set[str], report: FoundationReport) -> frozenset[str]:
    """Securities with a bar in the window that the data cycle quarantined for a toxic reason."""
    if QUARANTINE not in tables or not run.profile.data.toxic_reasons:
        return frozenset()
    rows = run.connection.execute(
        f"select distinct security_id from {QUARANTINE}, unnest($1::varchar[]) as r (pattern) "
        "where session_date between $2 and $3 and lower(reason) like '%' || lower(pattern) || '%'",
        [run.profile.data.toxic_reasons, report.values["first_session"], run.decision_date],
    ).fetchall()
    return frozenset(row[0] for row in rows)
