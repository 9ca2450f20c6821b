"""Execution of scanners: each asks and lands by itself, whatever becomes of the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingest.discovery.candidates import Candidate, Rejection, read_scan, sort_rows
from ingest.discovery.pool import normalize_quotes
from ingest.discovery.scanner_config import Scanner
from ingest.landing.job import Job
from ingest.vendors.tradingview.scans import land_scan
from trademl.errors import TradeMLError, VendorError

DATASET = "discovery"


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one scanner found.

    Attributes:
        scanner: The scanner.
        matched: Rows that matched, taken or not.
        taken: Rows that were landed.
        rejections: Rows that are not candidates.
        excluded: Candidates that the scanner lists as unwanted.
        foreign: Candidates that are not quoted in dollars.
        kept: The others.
        source: The landed file, relative to the data directory.
        note: Why nothing was asked, where an earlier answer served.
    """

    scanner: Scanner
    matched: int
    taken: int
    rejections: list[Rejection]
    excluded: list[Candidate]
    foreign: list[Candidate]
    kept: list[Candidate]
    source: str
    note: str | None

    def described(self) -> dict[str, Any]:
        """How the finds came about, as plain JSON types."""
        return {
            "name": self.scanner.name,
            "layers": list(self.scanner.layers),
            "intent": self.scanner.intent,
            "logic": self.scanner.logic,
            "request_hash": self.scanner.question.request_hash,
            "source": self.source,
            "matched": self.matched,
            "taken": self.taken,
            "excluded": [item.symbol for item in self.excluded],
            "not_in_dollars": [item.symbol for item in self.foreign],
        }


def scan_all(
    job: Job, scanners: Sequence[Scanner]
) -> tuple[list[Scanned], dict[str, TradeMLError]]:
    """What the scanners found, and by name the errors of those that failed."""
    scanned: list[Scanned] = []
    failed: dict[str, TradeMLError] = {}
    for scanner in scanners:
        try:
            scanned.append(_scan(job, scanner))
        except TradeMLError as error:
            failed[scanner.name] = error
    return scanned, failed


def failure(failed: dict[str, TradeMLError]) -> TradeMLError:
    """One error for all that failed, of the vendor's kind where a vendor was the reason."""
    reasons = "; ".join(f"{name}: {error}" for name, error in failed.items())
    kinds = [type(error) for error in failed.values()]
    kind = next((kind for kind in kinds if issubclass(kind, VendorError)), kinds[0])
    return kind(f"scanners that failed: {reasons}")


def _scan(job: Job, scanner: Scanner) -> Scanned:
    landed = land_scan(job, scanner.question, DATASET)
    rows, matched = read_scan(landed.path)
    sorted_rows = sort_rows(rows, scanner)
    excluded = [item for item in sorted_rows.candidates if item.symbol in scanner.exclude_symbols]
    wanted = [item for item in sorted_rows.candidates if item.symbol not in scanner.exclude_symbols]
    kept, foreign = normalize_quotes(wanted, scanner.quote_currencies)
    return Scanned(
        scanner=scanner,
        matched=matched,
        taken=len(rows),
        rejections=sorted_rows.rejections,
        excluded=excluded,
        foreign=foreign,
        kept=kept,
        source=landed.path.relative_to(job.data_dir).as_posix(),
        note=next(iter(landed.report.skipped), None),
    )
