"""Turns a finished allocation into the inputs of the report, and the run's INDEX.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import duckdb
import numpy as np

from optimize.inputs.pinned_model import read_report
from optimize.inputs.pool import EXECUTION, require_metadata
from optimize.selection.funnel import veto_counts
from optimize.selection.relaxation import STAGE_NAMES
from optimize.sleeve.context import REPORT_FILE, Allocated, Run
from optimize.sleeve.go_live_criteria import model_row
from optimize.sleeve.left_out import left_out
from optimize.synthesis.sign_test import SignTestResult
from trademl.clock import iso
from trademl.quant.arrays import FloatArray
from trademl.quant.metrics import performance
from trademl.report import (
    ClusterRow,
    CoverageRow,
    DefectRow,
    GateRow,
    ReportInputs,
    SolverRow,
    StreamRow,
    SurvivorshipRow,
    WeightRow,
)

EQUAL_POOL = "equal-weight pool"


@dataclass(frozen=True, slots=True)
class ReportExtras:
    """What only the caller knows about the market of a run.

    Attributes:
        is_simulated: Puts the banner on the page.
        defects: The planted defects of a simulated market and what caught each.
        disclosures: Further sentences for the reader.
    """

    is_simulated: bool = False
    defects: tuple[DefectRow, ...] | None = None
    disclosures: tuple[str, ...] = field(default=())


def report_inputs(
    run: Run,
    allocation: Allocated,
    gates: tuple[GateRow, ...],
    extras: ReportExtras,
    tables: set[str],
) -> ReportInputs:
    """Everything the page shows, from one run."""
    preopt = allocation.preopt.regime
    survivorship = _survivorship(run.connection, tables)
    return ReportInputs(
        identity={
            "Run": run.run_id,
            "Profile": run.profile.name,
            "Decision date": str(run.decision_date),
            "Version": run.version.name,
            "Clock": iso(run.clock),
        },
        lineage=_lineage(run),
        primary=allocation.primary,
        dates=allocation.synthetic.dates,
        streams=streams(run, allocation),
        weights=_weights(allocation),
        clusters=_clusters(allocation),
        gates=gates,
        solvers=tuple(_solver(item) for item in allocation.portfolios),
        funnel=allocation.selected.funnel,
        vetoes=veto_counts(allocation.selected.result),
        regime={
            "Regime": str(preopt["decision_regime"]["name"]).capitalize(),
            "Cluster cap": f"{allocation.chosen.limits.cluster_cap:.0%}",
        },
        coverage=_coverage(run.connection, tables),
        survivorship=survivorship,
        left_out=left_out(run.connection, tables, run.profile.asset_class, run.decision_date),
        disclosures=(
            *extras.disclosures,
            *_disclosures(run, allocation, survivorship, tables),
        ),
        model=None if run.model is None else read_report(run.model.folder),
        defects=extras.defects,
        is_simulated=extras.is_simulated,
    )


def _lineage(run: Run) -> dict[str, str]:
    return {
        "trace_id": run.lineage.trace_id,
        "foundation_hash": run.lineage.foundation_hash,
        "engine_version": run.lineage.engine_version,
        "model_sha256": run.model.sha256 if run.model else "no model",
    }


def streams(run: Run, allocation: Allocated) -> tuple[StreamRow, ...]:
    """In-sample streams of every portfolio, and of the pool at equal weights for comparison."""
    values = allocation.synthetic.values
    position = {name: column for column, name in enumerate(allocation.synthetic.names)}
    rows = []
    for item in allocation.portfolios:
        columns = [position[atom] for atom in item.atoms]
        stream = values[:, columns] @ item.weights
        is_primary = item.name == allocation.primary
        rows.append(StreamRow(item.name, stream, _metrics(stream, run), is_primary))
    sign = -1.0 if run.profile.direction == "SHORT" else 1.0
    pool = sign * allocation.selected.aggregation.matrix.values.mean(axis=1)
    rows.append(StreamRow(EQUAL_POOL, pool, _metrics(pool, run)))
    return tuple(sorted(rows, key=lambda row: not row.is_primary))


def _metrics(stream: FloatArray, run: Run) -> dict[str, float]:
    figures = performance(stream, run.profile.optimizer.periods_per_year)
    return {
        "Total return": figures.total_return,
        "Return p.a.": figures.annual_return,
        "Volatility p.a.": figures.annual_volatility,
        "Sharpe ratio": figures.sharpe,
        "Worst drawdown": figures.max_drawdown,
    }


def _weights(allocation: Allocated) -> tuple[WeightRow, ...]:
    stages = {
        won.scored.candidate.symbol: STAGE_NAMES[won.stage]
        for won in allocation.selected.result.winners
    }
    return tuple(
        WeightRow(
            symbol=row["Symbol"],
            direction=row["Direction"],
            gross=row["Gross_Weight"],
            net=row["Net_Weight"],
            cluster=row["Cluster_ID"],
            sector=row["Sector"],
            stage=stages[row["Symbol"]],
        )
        for row in allocation.flattened[allocation.primary]["assets"]
        if row["Gross_Weight"] > 0.0
    )


def _clusters(allocation: Allocated) -> tuple[ClusterRow, ...]:
    chosen = allocation.chosen
    symbols = {
        won.scored.candidate.atom_id: won.scored.candidate.symbol
        for won in allocation.selected.result.winners
    }
    rows = []
    for name, limit in zip(
        sorted(chosen.cluster_weights), chosen.limits.cluster_limits, strict=True
    ):
        members = [
            (-float(weight), symbols[atom])
            for atom, weight, owner in zip(
                chosen.atoms, chosen.weights, chosen.cluster_ids, strict=True
            )
            if owner == name
        ]
        lead = min(members)[1]
        weight = chosen.cluster_weights[name]
        rows.append(ClusterRow(name, weight, float(limit), len(members), lead))
    return tuple(sorted(rows, key=lambda row: (-row.weight, row.name)))


def _solver(item: Any) -> SolverRow:
    """Notes name everything that did not go the plain way."""
    solver = item.solver
    notes = [f"{step.method} given up: {step.reason}" for step in solver.fallback_chain]
    if solver.shrinkage:
        notes.append(f"correlation shrunk by {solver.shrinkage:g}")
    if item.is_capped:
        notes.append("moved onto the caps")
    for name, (requested, applied) in item.limits.relaxed.items():
        notes.append(f"{name.replace('_', ' ')} relaxed from {requested:.0%} to {applied:.1%}")
    return SolverRow(
        name=item.name,
        solver=solver.solver if solver.method == item.name else f"{solver.method}, {solver.solver}",
        kappa_before=solver.kappa_before,
        kappa_after=solver.kappa_after,
        effective_names=float(1.0 / np.sum(item.weights**2)),
        notes=tuple(notes),
    )


def _coverage(connection: duckdb.DuckDBPyConnection, tables: set[str]) -> tuple[CoverageRow, ...]:
    if "quality.coverage" not in tables:
        return ()
    rows = connection.execute(
        "select table_name, year, sum(expected)::bigint, sum(green)::bigint, sum(amber)::bigint, "
        "sum(red)::bigint from quality.coverage group by all order by table_name, year"
    ).fetchall()
    return tuple(CoverageRow(*row) for row in rows)


def _survivorship(
    connection: duckdb.DuckDBPyConnection, tables: set[str]
) -> tuple[SurvivorshipRow, ...]:
    if "quality.survivorship" not in tables:
        return ()
    rows = connection.execute(
        "select index_name, session_date, members, covered from quality.survivorship "
        "where members > 0 order by index_name, session_date"
    ).fetchall()
    return tuple(SurvivorshipRow(*row) for row in rows)


def _disclosures(
    run: Run,
    allocation: Allocated,
    survivorship: tuple[SurvivorshipRow, ...],
    tables: set[str],
) -> tuple[str, ...]:
    """What a reader must know before believing a number, as far as the run can tell."""
    inference, result = allocation.selected.inference, allocation.selected.result
    lines = [
        "Past returns on this page are in sample, before costs, borrow and market impact.",
        "Who may be chosen comes from a list of candidates; returns before it was made flatter it."
        if run.candidates
        else "The universe and the direction come from the profile and the lake, not from a list.",
    ]
    if any(item.sector for item in allocation.selected.pool.candidates):
        lines.append("Sectors are those of today, not of the decision date (not point in time).")
    if run.profile.asset_class == "equity":
        lines.append(_bias(survivorship))
        if "reference.universe_counts" in tables:
            lines.append(universe_sentence(run.connection, run.decision_date))
    if inference.absent:
        lines.append("Ranked features without a value: " + ", ".join(inference.absent) + ".")
    if run.model is None and run.profile.model.name:
        lines.append("No model was given: the ranking goes without its score.")
    if result.is_scarce:
        lines.append("The pool without hard vetoes is smaller than the target (scarcity).")
    if run.profile.direction == "SHORT":
        lines.append("Short streams are rebalanced daily and floored at a loss of 100 %.")
    return tuple(line for line in lines if line)


def universe_sentence(connection: duckdb.DuckDBPyConnection, day: date) -> str:
    """How many the universe let in or left out on a session, by rule and share class.

    Args:
        connection: A read-only connection on a version that has ``reference.universe_counts``.
        day: The session.

    Returns:
        One sentence; empty where nothing traded.
    """
    rows = connection.execute(
        "select rule, share_class, securities from reference.universe_counts "
        "where session_date = $1 order by is_eligible desc, rule, securities desc, share_class",
        [day],
    ).fetchall()
    counts: dict[str, list[str]] = {}
    for rule, share_class, securities in rows:
        counts.setdefault(rule, []).append(f"{securities} {share_class}")
    told = "; ".join(f"{rule} {', '.join(classes)}" for rule, classes in counts.items())
    title = f"The universe on {day} by rule and share class (as told later, not point in time)"
    return f"{title}: {told}." if told else ""


def _bias(rows: tuple[SurvivorshipRow, ...]) -> str:
    """The survivorship bias in one sentence with its numbers."""
    if not rows:
        return "The lake has no index membership, so survivorship bias is not measured here."
    worst = min(rows, key=lambda row: (row.covered / row.members, row.session_date))
    return (
        f"Survivorship: of the {worst.members} members of {worst.index_name} on "
        f"{worst.session_date} the lake has data for {worst.covered} "
        f"({worst.covered / worst.members:.0%}); names that failed or were taken over are missing."
    )


def gate_rows(
    run: Run,
    allocation: Allocated,
    pre: SignTestResult | None,
    post: SignTestResult | None,
) -> tuple[GateRow, ...]:
    """Every gate of the run with what it asked and what it got."""
    model = (model_row(read_report(run.model.folder) or {}),) if run.model else ()
    return (
        *_foundation_rows(run, allocation),
        *model,
        *_selection_rows(run, allocation, pre),
        *_risk_rows(allocation, post),
    )


def _candidate_row(run: Run, allocation: Allocated) -> Iterator[GateRow]:
    """The list of a run that has one; a candidate that fails it stops the run before this."""
    if run.candidates:
        required = f"all {allocation.gate.values['candidates']} of the list in the lake, none stale"
        yield GateRow(
            "Candidates", required, f"{allocation.selected.funnel['listed']} listed", "pass"
        )


def _metadata_row(run: Run, allocation: Allocated) -> GateRow:
    least = run.profile.data.min_metadata_ratio
    worst = min(require_metadata(allocation.selected.pool.candidates, least).values())
    required = f"{', '.join(EXECUTION)} each known of {least:.0%} of the pool"
    return GateRow("Metadata", required, f"at least {worst:.1%}", "pass")


def _foundation_rows(run: Run, allocation: Allocated) -> list[GateRow]:
    values, rules = allocation.gate.values, run.profile.data
    codes = {finding.code for finding in allocation.gate.findings}
    if rules.calendar:
        required, got = f"session {values['expected_session']}", f"session {values['last_session']}"
    else:
        required, got = f"age at most {rules.max_age_hours:g} h", f"{values['age_hours']:.1f} h"
    counts = allocation.selected.aggregation.counts
    largest = values["max_abs_return"]
    return [
        GateRow("Fresh data", required, got, "warn" if "FOUNDATION_STALE" in codes else "pass"),
        *_candidate_row(run, allocation),
        GateRow(
            "Return bounds",
            f"at most {rules.max_abs_return:.0%}, no NaN, at least −100%",
            f"largest {largest:.1%}, {values['not_finite']} NaN",
            "warn" if "FOUNDATION_LARGE_RETURN" in codes else "pass",
        ),
        GateRow(
            "Index",
            "UTC midnight, unique, sessions only",
            f"{values['off_midnight']} off, {values['duplicates']} repeated",
            "pass",
        ),
        GateRow(
            "History",
            f"at least {rules.min_days_floor} joint sessions",
            f"{counts['sessions_after']} of {counts['sessions_before']} sessions, "
            f"{counts['symbols_after']} of {counts['symbols_before']} symbols",
            "pass",
        ),
        _metadata_row(run, allocation),
        GateRow("Network", "no connection", "no connection", "pass"),
    ]


def _selection_rows(run: Run, allocation: Allocated, pre: SignTestResult | None) -> list[GateRow]:
    result, target = allocation.selected.result, run.profile.selection.target
    scarcity = "warn" if result.is_scarce else "pass"
    rows = [
        GateRow(
            "Winners",
            f"at least {target}, none with a hard veto",
            f"{len(result.winners)} at stage {result.stage} ({STAGE_NAMES[result.stage]})",
            scarcity if len(result.winners) < target else "pass",
        )
    ]
    return rows + _sign_rows("Sign test before optimisation", pre)


def _risk_rows(allocation: Allocated, post: SignTestResult | None) -> list[GateRow]:
    chosen, limits = allocation.chosen, allocation.chosen.limits
    relaxed = limits.relaxed
    heaviest = max(chosen.cluster_weights.values())
    return [
        *_sign_rows("Sign test after optimisation", post),
        GateRow(
            "Stable sum", "gross weight above 1e-6", f"{np.abs(chosen.weights).sum():.9f}", "pass"
        ),
        GateRow(
            "Simplex",
            "sum 1 within 1e-6, none negative",
            f"off by {abs(float(chosen.weights.sum()) - 1.0):.1e}",
            "pass",
        ),
        GateRow(
            "Cluster cap",
            f"{allocation.preopt.cluster_cap:.0%}",
            f"{heaviest:.1%}, applied {limits.cluster_cap:.1%}",
            "warn" if "cluster_cap" in relaxed else "pass",
        ),
        GateRow(
            "Name cap",
            f"{relaxed.get('name_cap', (limits.name_cap,))[0]:.0%}",
            f"{float(chosen.weights.max()):.1%}, applied {limits.name_cap:.1%}",
            "warn" if "name_cap" in relaxed else "pass",
        ),
    ]


def _sign_rows(name: str, result: SignTestResult | None) -> list[GateRow]:
    if result is None:
        return []
    status = "fail" if result.errors else "pass"
    got = f"{result.errors} over {result.checked_atoms} atoms"
    return [GateRow(name, "0 errors, tolerance 0", got, status)]


def index_page(
    run_id: str,
    profile: str,
    status: str,
    lineage: Mapping[str, str],
    gates: tuple[GateRow, ...],
    links: tuple[str, ...],
) -> str:
    """INDEX.md: which run this is, the state of its guardrails as computed, and where to look."""
    lines = [f"# Run {run_id}", "", f"- profile: `{profile}`", f"- run_id: `{run_id}`"]
    lines += [f"- status: **{status}**"]
    lines += [f"- {name}: `{value}`" for name, value in lineage.items()]
    if gates:
        lines += ["", "## Guardrails", "", "| gate | asked | got | state |", "|---|---|---|---|"]
        lines += [
            f"| {gate.name} | {gate.asked} | {gate.got} | {gate.status.upper()} |" for gate in gates
        ]
    if links:
        lines += ["", "## Files", "", *(f"- [{link}]({link})" for link in links)]
    return "\n".join(lines) + "\n"


def standard_links() -> tuple[str, ...]:
    """The files a reader starts with."""
    return (
        f"reports/{REPORT_FILE}",
        "data/portfolio_flattened.json",
        "data/portfolio_optimized_v2.json",
        "data/selection_audit.json",
        "config/resolved_manifest.json",
        "audit.jsonl",
    )
