"""One sleeve, offline: from a published version to signed weights in a run directory.

The order of the steps is fixed. Everything runs inside the network guard, on one
thread of linear algebra, with the run's clock; the same inputs give the same bytes. A run appears
under its final name only when it is finished; a failed one appears too, marked as such, so that
its ledger can be read, and is replaced by the next attempt.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from optimize.inputs.candidate_list import find_candidates, read_candidates, require_in_lake
from optimize.inputs.foundation import FoundationReport, table_names, validate_foundation
from optimize.inputs.pinned_model import MODEL_FILES, copy_model
from optimize.profiles import Profile, load_profile
from optimize.selection.attribution import WithoutModel
from optimize.sleeve import risk_steps, selection_steps
from optimize.sleeve.context import (
    CANDIDATES_FILE,
    INPUTS_FILE,
    MANIFEST_FILE,
    REPORT_FILE,
    SIGN_TEST_POST_FILE,
    Allocated,
    Run,
    environment,
    profile_hash,
    resolved_manifest,
)
from optimize.sleeve.diagnostics import write_analysis, write_validation
from optimize.sleeve.report import (
    ReportExtras,
    gate_rows,
    index_page,
    report_inputs,
    standard_links,
)
from optimize.sleeve.request import (
    PIPELINE,
    Request,
    is_finished,
    locked_version,
    pin_for,
    refuse_hindsight,
    refuse_other_inputs,
    require_same_weights,
)
from optimize.sleeve.validation import validate_atomic_run, write_audit
from trademl.clock import iso
from trademl.errors import DataError, GateFailed, TradeMLError
from trademl.files import write_atomic
from trademl.lake import versions as lake
from trademl.lake.snapshot import Lock, drop_snapshot, record_head, take_snapshot
from trademl.network_guard import no_network
from trademl.report import GateRow, render_report
from trademl.runs.artifacts import ArtifactWriter
from trademl.runs.ledger import Ledger
from trademl.runs.ledger import read as read_ledger
from trademl.runs.lineage import ENGINE_VERSION, Lineage, foundation_hash, hash_tables, trace_id
from trademl.runs.workspace import (
    Workspace,
    check_run_id,
    open_workspace,
    publish_workspace,
    run_lock,
    runs_dir,
)


@dataclass(frozen=True, slots=True)
class AlphaResult:
    """A finished run.

    Attributes:
        root: The run directory.
        version: The published version it is locked to.
        primary: The portfolio that is the answer.
        weights: (symbol, net weight) of the primary portfolio, heaviest first.
        eligible: Candidates that passed the vetoes of the last stage of relaxation.
        winners: How many were chosen.
        without_model: What the model changed, None where no model's score was ranked.
        gates: Every gate with what it asked and got.
        report: The HTML report.
    """

    run_id: str
    root: Path
    profile: str
    version: str
    primary: str
    weights: tuple[tuple[str, float], ...]
    eligible: int
    winners: int
    without_model: WithoutModel | None
    gates: tuple[GateRow, ...]
    report: Path
    lineage: Lineage


def run_alpha(
    run_id: str,
    *,
    data_dir: Path,
    profile: str | Profile,
    clock: datetime,
    version: str | None = None,
    model: Path | None = None,
    candidates: Path | None = None,
    skip_analysis: bool = False,
    skip_validation: bool = False,
    extras: ReportExtras | None = None,
) -> AlphaResult:
    """Runs one profile on one published version and writes ``data_dir/runs/<run_id>``.

    Repeating a finished run with the same inputs gives the same weights, byte for byte, or fails.

    Args:
        run_id: Letters, digits, ``_`` and ``-``.
        data_dir: The data directory; only ``runs`` and ``snapshots`` in it are written.
        profile: A profile's name, the path of a profile file, or a profile.
        clock: The run's time; the only time in its artifacts.
        version: A published version; by default the one this run id is locked to, else the newest.
        model: Folder of the trained model.
        candidates: A list of candidates: nobody else may be chosen, and the lake
            must have each of them. By default discovery's of this run id, else the one that the
            run was started with, else everybody in the universe.
        skip_analysis: Leave out the optional maps.
        skip_validation: Leave out the optional comparison with equal weights.
        extras: What the report says beyond what the run knows.

    Raises:
        ConfigError: Bad run id or profile, or the run exists with other inputs.
        DataError: Nothing published, a gate refused, a model is missing, files cannot be written.
        LookaheadError: The version or the model is later than the run.
        SolverError: No acceptable weights.
        NetworkForbidden: Something tried to reach a network.
    """
    check_run_id(run_id)
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    with _readable_errors(run_id), threadpool_limits(1), run_lock(data_dir, run_id):
        listed = find_candidates(data_dir, run_id, candidates)
        request = Request(
            run_id=run_id,
            data_dir=data_dir,
            profile=chosen,
            version=locked_version(data_dir, run_id, version),
            clock=clock,
            model=pin_for(chosen, model),
            candidates=read_candidates(listed, chosen) if listed else None,
            skip_analysis=skip_analysis,
            skip_validation=skip_validation,
            extras=extras or ReportExtras(),
        )
        refuse_hindsight(request)
        refuse_other_inputs(request)
        return _execute(request)


@contextmanager
def _readable_errors(run_id: str) -> Iterator[None]:
    """What the engine or the disk says, as one line."""
    try:
        yield
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise DataError(f"the lake cannot be read: {first}: choose another version") from error
    except OSError as error:
        raise DataError(
            f"run {run_id} cannot be written: {error.strerror or error}: check space and rights"
        ) from error


def _execute(request: Request) -> AlphaResult:
    """Works in the temporary folder and gives it the final name, finished or failed."""
    workspace = open_workspace(request.data_dir, request.run_id)
    ledger = Ledger(workspace.ledger, request.clock)
    ledger.genesis(
        request.run_id,
        request.profile.name,
        {**environment(), "manifest_hash": profile_hash(request.profile)},
        request.fingerprint(),
    )
    try:
        # The inner guard ends inside the step: an attempt that was swallowed fails the run too.
        with ledger.step(PIPELINE, {"fingerprint": request.fingerprint()}) as out, no_network():
            run, allocation, gates = _pipeline(request, workspace, ledger)
            out.output_hashes |= run.writer.recorded(workspace.index)
        require_same_weights(request, workspace)
    except TradeMLError as error:
        _publish_failure(request, workspace, error)
        raise
    record_head(request.data_dir, request.run_id, ledger.head)
    final = publish_workspace(request.data_dir, workspace)
    selected = allocation.selected
    return AlphaResult(
        run_id=request.run_id,
        root=final.root,
        profile=request.profile.name,
        version=request.version.name,
        primary=allocation.primary,
        weights=tuple(
            (row["Symbol"], row["Net_Weight"])
            for row in allocation.flattened[allocation.primary]["assets"]
        ),
        eligible=selected.result.stages[-1].n_eligible,
        winners=len(selected.result.winners),
        without_model=selected.attribution.without_model,
        gates=gates,
        report=final.reports / REPORT_FILE,
        lineage=run.lineage,
    )


def _pipeline(
    request: Request, workspace: Workspace, ledger: Ledger
) -> tuple[Run, Allocated, tuple[GateRow, ...]]:
    with closing(open_offline(request.data_dir, request.version)) as connection:
        run, gate = _foundation(request, workspace, ledger, connection)
        tables = table_names(connection)
        pool, aggregation = selection_steps.ingest(run)
        selection_steps.lookup_features(run, pool)
        toxic = selection_steps.toxic_securities(run, tables, gate)
        selected = selection_steps.choose(run, pool, aggregation, toxic)
        selection_steps.synthesize_streams(run, selected)
        pre = selection_steps.run_sign_test(run, selected)
        risk_steps.preopt(run, selected)
        synthetic, preopt, portfolios, lines = risk_steps.optimize(run, selected)
        post = selection_steps.run_sign_test(run, selected, SIGN_TEST_POST_FILE, lines)
        flattened = risk_steps.flatten_weights(run, selected, portfolios)
        allocation = Allocated(
            gate, selected, synthetic, preopt, portfolios, flattened, run.profile.optimizer.primary
        )
        gates = gate_rows(run, allocation, pre, post)
        _report(run, request, allocation, gates, tables)
        gates = _audit(run, gates)
        _optional(run, request, allocation)
        _write_index(run, "finished", gates)
    return run, allocation, gates


def open_offline(data_dir: Path, version: lake.Version) -> duckdb.DuckDBPyConnection:
    """A connection that may load nothing further: the engine's own way to a network is closed."""
    connection = lake.open_version(data_dir, version)
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set autoload_known_extensions = false")
    return connection


def _foundation(
    request: Request, workspace: Workspace, ledger: Ledger, connection: duckdb.DuckDBPyConnection
) -> tuple[Run, FoundationReport]:
    """foundation.gate: judge, hash, lock; nothing else has run before it."""
    profile, clock = request.profile, request.clock
    with ledger.step("foundation.gate", {"version": request.version.name}) as out:
        gate = validate_foundation(connection, profile, clock)
        gate = require_in_lake(connection, gate, request.candidates, profile)
        out.metrics |= gate.values
        out.context |= {"findings": [f"{item.level} {item.code}" for item in gate.findings]}
        decision_date = gate.require()
        names = selection_steps.used_tables(table_names(connection), profile.data.calendar)
        hashes = hash_tables(connection, names)
        foundation = foundation_hash(hashes)
        inputs = (profile_hash(profile), request.model_hash, *request.list_hash)
        identity = trace_id(request.run_id, foundation, *inputs)
        writer = ArtifactWriter(workspace, Lineage(identity, foundation))
        model_id = request.model.folder.name if request.model else None
        lock = Lock(request.version.name, iso(clock), model_id)
        listed = request.candidates.content if request.candidates else None
        snapshot = take_snapshot(
            connection, request.data_dir, request.run_id, request.version, lock, hashes, listed
        )
        model = copy_model(request.model, workspace.config / "model") if request.model else None
        if model:
            out.output_hashes |= writer.recorded(*(model.folder / name for name in MODEL_FILES))
        out.output_hashes |= _write_inputs(request, writer, gate, snapshot, hashes)
        if listed:
            out.output_hashes |= writer.content(workspace.data / CANDIDATES_FILE, listed)
    run = Run(
        run_id=request.run_id,
        data_dir=request.data_dir,
        profile=profile,
        clock=clock,
        version=request.version,
        connection=connection,
        ledger=ledger,
        writer=writer,
        model=model,
        candidates=request.candidates,
        decision_date=decision_date,
    )
    return run, gate


def _write_inputs(
    request: Request,
    writer: ArtifactWriter,
    gate: FoundationReport,
    snapshot: dict[str, Any],
    hashes: dict[str, str],
) -> dict[str, str]:
    workspace = writer.workspace
    manifest = resolved_manifest(
        request.run_id, request.profile, request.clock, request.version, hashes
    )
    findings = [
        {"code": item.code, "level": item.level, "message": item.message} for item in gate.findings
    ]
    return {
        **writer.json(workspace.config / MANIFEST_FILE, manifest),
        **writer.json(workspace.config / INPUTS_FILE, request.fingerprint()),
        **writer.json(workspace.config / "snapshot.json", snapshot),
        **writer.json(
            workspace.data / "foundation_gate.json", {"values": gate.values, "findings": findings}
        ),
    }


def _report(
    run: Run, request: Request, allocation: Allocated, gates: tuple[GateRow, ...], tables: set[str]
) -> None:
    with run.ledger.step("risk.report") as out:
        inputs = report_inputs(run, allocation, gates, request.extras, tables)
        page = run.writer.workspace.reports / REPORT_FILE
        out.output_hashes |= run.writer.content(page, render_report(inputs))
        trace = {
            "stages": [
                {"step": record["step"], "outputs": record["outcome"]["output_hashes"]}
                for record in read_ledger(run.writer.workspace.ledger)
                if record.get("status") == "success"
            ]
        }
        out.output_hashes |= run.writer.json(run.data / "forensic_trace.json", trace)
        _write_index(run, "reported", gates)


def _write_index(run: Run, status: str, gates: tuple[GateRow, ...]) -> None:
    workspace = run.writer.workspace
    extra = sorted(
        path.relative_to(workspace.root).as_posix() for path in workspace.plots.glob("*.svg")
    )
    page = index_page(
        run.run_id,
        run.profile.name,
        status,
        {**run.lineage.as_dict(), "version": run.version.name},
        gates,
        (*standard_links(), *extra),
    )
    write_atomic(workspace.index, page)


def _audit(run: Run, gates: tuple[GateRow, ...]) -> tuple[GateRow, ...]:
    """risk.audit: the run checks its own artifacts before it counts."""
    with run.ledger.step("risk.audit") as out:
        root = run.writer.workspace.root
        result = validate_atomic_run(root, run.run_id, is_own_audit=True)
        page = write_audit(root, result)
        out.output_hashes |= run.writer.recorded(page, page.with_suffix(".md"))
        out.metrics |= {"checks": len(result.findings), "failures": len(result.failures)}
        if result.failures:
            first = result.failures[0]
            raise GateFailed(f"atomic validation failed: {first.code}: {first.message}")
    row = GateRow("Atomic validation", "0 failures", f"0 of {len(result.findings)} checks", "pass")
    return (*gates, row)


def _optional(run: Run, request: Request, allocation: Allocated) -> None:
    steps = (
        ("risk.validation", request.skip_validation, "--skip-validation", write_validation),
        ("risk.analysis", request.skip_analysis, "--skip-analysis", write_analysis),
    )
    for name, is_skipped, flag, step in steps:
        if is_skipped:
            run.ledger.skipped(name, flag)
            continue
        with run.ledger.step(name) as out:
            out.output_hashes |= step(run, allocation)


def _publish_failure(request: Request, workspace: Workspace, error: TradeMLError) -> None:
    """Keeps a failed run's evidence, unless that would replace a finished run."""
    if is_finished(runs_dir(request.data_dir) / request.run_id):
        shutil.rmtree(workspace.root)
        return
    facts = {"error": str(error), "version": request.version.name, "engine_version": ENGINE_VERSION}
    page = index_page(request.run_id, request.profile.name, "FAILED", facts, (), ("audit.jsonl",))
    write_atomic(workspace.index, page)
    publish_workspace(request.data_dir, workspace)
    drop_snapshot(request.data_dir, request.run_id)
