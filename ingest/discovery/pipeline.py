"""``trademl discover``: scanners to candidates, every stage counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ingest.discovery import instruments
from ingest.discovery.candidates import Candidate, Rejection, described
from ingest.discovery.export import write_candidates, write_validated
from ingest.discovery.lake_check import NOT_IN_LAKE, STALE, check_lake
from ingest.discovery.pool import consolidate, deduplicate
from ingest.discovery.rules import Rules, read_rules
from ingest.discovery.scanner_config import Scanner
from ingest.discovery.scanning import Scanned, failure, scan_all
from ingest.landing.job import Job
from ingest.transport.client import ClientFactory, VendorClient
from trademl import __version__
from trademl.clock import iso
from trademl.errors import DataError
from trademl.runs.workspace import export_folder
from trademl.settings import Settings


@dataclass(frozen=True, slots=True)
class _Pool:
    """What goes on to selection, what does not, and how well the guardrail was kept."""

    chosen: list[Candidate]
    left_out: list[Rejection]
    coverage: dict[str, float]


@dataclass(frozen=True, slots=True)
class DiscoveryReport:
    """What a discovery did.

    Attributes:
        candidates: The file of all candidates.
        validated: The file of those that go on to selection; none without a version
            as of the clock.
        funnel: How many were left after each stage, in order.
        failed: Scanners that failed, with their reasons.
        rejections: Rows that were no candidates, or are none for the pool.
        notes: Scanners that were not asked, because an earlier answer served.
    """

    candidates: Path
    validated: Path | None
    funnel: dict[str, int]
    failed: dict[str, str]
    rejections: tuple[Rejection, ...]
    notes: tuple[str, ...]


def run_discovery(
    run_id: str,
    scanners: Sequence[Scanner],
    *,
    data_dir: Path,
    clock: datetime,
    settings: Settings,
    base_url: str | None = None,
    strict: bool = False,
    make_client: ClientFactory = VendorClient,
) -> DiscoveryReport:
    """Asks every scanner by itself and writes ``export/<RUN_ID>/``.

    candidates.json is there before anything is looked up: it tells ingestion what to fetch. The
    validated list holds what the newest version as of the clock has; without one there is none.

    Args:
        run_id: Names the folder.
        scanners: At least one; each is asked whatever becomes of the others.
        data_dir: The data directory.
        clock: The run's time; landed rows and instrument data carry it.
        settings: The vendor's host.
        base_url: Replaces the vendor's host.
        strict: Whether a rejected row or a scanner that fails is an error.
        make_client: Opens a client.

    Raises:
        ConfigError: The run id is not allowed.
        DataError: No candidate is left, or in strict mode a row was rejected.
        GateFailed: Too little is known of how the candidates can be ordered.
        VendorError: No scanner was answered, or in strict mode one was not.
    """
    folder, rules = export_folder(data_dir, run_id), read_rules()
    job = Job(data_dir, clock, settings, None, None, None, base_url, make_client)
    scanned, failed = scan_all(job, scanners)
    if failed and (strict or not scanned):
        raise failure(failed)
    rejections = [item for scan in scanned for item in scan.rejections]
    _refuse_any(rejections if strict else ())
    candidates = consolidate(item for scan in scanned for item in scan.kept)
    funnel = _funnel(scanned, candidates)
    _require_some(run_id, candidates, funnel, rejections)
    reasons = {name: str(error) for name, error in failed.items()}
    meta = _run_metadata(run_id, clock, scanned, reasons)
    listed = write_candidates(folder, candidates, {**meta, **_counted(funnel, rejections)})
    notes = tuple(f"{scan.scanner.name}: {scan.note}" for scan in scanned if scan.note)
    checked = check_lake(data_dir, candidates, rules, clock)
    if checked is None:
        return DiscoveryReport(listed, None, funnel, reasons, tuple(rejections), notes)
    rejections += checked.refused
    funnel["in_lake"] = len(checked.held)
    _require_some(run_id, checked.held, funnel, rejections)
    pool = _pool(checked.held, rules, job, funnel)
    rejections += pool.left_out
    _require_some(run_id, pool.chosen, funnel, rejections)
    meta |= {"version": checked.version, "metadata_coverage": pool.coverage}
    meta |= _counted(funnel, rejections)
    validated = write_validated(folder, pool.chosen, meta, rules.benchmarks)
    return DiscoveryReport(listed, validated, funnel, reasons, tuple(rejections), notes)


def _run_metadata(
    run_id: str, clock: datetime, scanned: Sequence[Scanned], failed: dict[str, str]
) -> dict[str, Any]:
    """How the candidates came about."""
    return {
        "run_id": run_id,
        "generated_at": iso(clock),
        "engine_version": __version__,
        "scanners": [scan.described() for scan in scanned],
        "failed": failed,
    }


def _counted(funnel: dict[str, int], rejections: Sequence[Rejection]) -> dict[str, Any]:
    """The stages so far and every veto by name."""
    rejected = [msgspec.to_builtins(item) for item in rejections]
    return {"funnel": dict(funnel), "rejected": rejected}


def _refuse_any(rejections: Sequence[Rejection]) -> None:
    if rejections:
        first = rejections[0]
        raise DataError(
            f"strict discovery: {len(rejections)} rows are not candidates "
            f"({described(rejections)}), the first is {first.symbol} of {first.scanner}"
        )


def _funnel(scanned: Sequence[Scanned], candidates: Sequence[Candidate]) -> dict[str, int]:
    """Counts after each stage; a symbol in two scans counts twice until it is consolidated."""
    kept = sum(len(scan.kept) for scan in scanned)
    not_excluded = kept + sum(len(scan.foreign) for scan in scanned)
    return {
        "matched": sum(scan.matched for scan in scanned),
        "discovered": sum(scan.taken for scan in scanned),
        "well_formed": not_excluded + sum(len(scan.excluded) for scan in scanned),
        "not_excluded": not_excluded,
        "quote_normalised": kept,
        "consolidated": len(candidates),
    }


def _pool(candidates: Sequence[Candidate], rules: Rules, job: Job, funnel: dict[str, int]) -> _Pool:
    """Instruments, identities and the cap; adds its stages to the funnel.

    The guardrail holds for what stands for an identity: an alternative may be less well known.
    """
    equipped = instruments.equip(
        candidates,
        instruments.read_tick_rules(),
        instruments.read_filters(job.data_dir, job.clock),
        job.clock,
    )
    unique = deduplicate(equipped)
    coverage = instruments.require_coverage(unique, rules.metadata_coverage)
    validated = [item for item in unique if instruments.is_complete(item)]
    chosen, beyond = validated[: rules.pool_cap], validated[rules.pool_cap :]
    funnel |= {
        "enriched": sum(instruments.is_complete(item) for item in equipped),
        "deduplicated": len(unique),
        "validated": len(validated),
        "pooled": len(chosen),
    }
    unknown = (item for item in unique if not instruments.is_complete(item))
    left_out = [*_refused(unknown, "instrument_unknown"), *_refused(beyond, "beyond_pool_cap")]
    return _Pool(chosen, left_out, coverage)


def _refused(candidates: Iterable[Candidate], reason: str) -> list[Rejection]:
    return [Rejection(item.symbol, ",".join(item.scanners), reason) for item in candidates]


def _require_some(
    run_id: str,
    candidates: Sequence[Candidate],
    funnel: dict[str, int],
    rejections: Sequence[Rejection],
) -> None:
    if candidates:
        return
    stages = ", ".join(f"{stage} {count}" for stage, count in funnel.items())
    why = f"; rejected: {described(rejections)}" if rejections else ""
    advice = (
        "land them with `trademl ingest run --candidates`, build, and discover again"
        if any(rejection.reason in (NOT_IN_LAKE, STALE) for rejection in rejections)
        else "loosen the scanners' filters or check what the market holds"
    )
    raise DataError(f"run {run_id} has no candidates ({stages}{why}); {advice}")
