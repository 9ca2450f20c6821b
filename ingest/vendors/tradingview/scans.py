"""Landing of the screener's answers: one file per question, asked again only when it has aged."""

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.job import IngestReport, Job
from ingest.landing.writer import Fetch, land
from ingest.vendors.tradingview import client as tradingview
from ingest.vendors.tradingview import schema
from ingest.vendors.tradingview.client import Scan
from trademl.errors import DataError
from trademl.symbology import US_EXCHANGES

RATINGS = "technical_rating_live"

_ALL_RATINGS = Scan(
    market="america",
    columns=(
        *("type", "typespecs", "exchange", "close", "volume", "Value.Traded"),
        *("Recommend.All", "Recommend.MA", "Recommend.Other"),
    ),
    filters=(
        {"left": "exchange", "operation": "in_range", "right": list(US_EXCHANGES)},
        {"left": "is_primary", "operation": "equal", "right": True},
    ),
    sort_by="name",
    sort_order="asc",
)


@dataclass(frozen=True, slots=True)
class LandedScan:
    """What answers a question.

    Attributes:
        path: The landed file.
        report: What was done for it; nothing where a fresh file was there.
    """

    path: Path
    report: IngestReport


def land_ratings(job: Job) -> IngestReport:
    """Lands the vendor's own technical ratings of all listed US names, to check ours by.

    Raises:
        DataError: The vendor tells nothing, or does not know a named ``EXCHANGE:SYMBOL``.
    """
    question = replace(_ALL_RATINGS, tickers=job.symbols or ())
    landed = land_scan(job, question, RATINGS)
    if landed.report.files and not landed.report.rows:
        raise DataError("tradingview america has no row at all; try later")
    return landed.report


def land_scan(job: Job, question: Scan, dataset: str) -> LandedScan:
    """Lands the answer to a question, unless the same one was answered less than twelve hours ago.

    Args:
        job: Where to land, when, and which host to ask.
        question: What to ask.
        dataset: What the file's footer says it was asked for.

    Raises:
        DataError: Tickers that were named are not known to the vendor.
        VendorError: The vendor refused or failed.
    """
    fresh = _fresh(job, question)
    if fresh is not None:
        when = f"{fresh.ingested_at:%Y-%m-%d %H:%M} UTC"
        idle = IngestReport(skipped=(f"{question.path} was answered at {when}",))
        return LandedScan(fresh.path, idle)
    fetch = Fetch(
        endpoint=schema.SCAN,
        dataset=dataset,
        request_hash=question.request_hash,
        symbols=question.tickers,
        # A scanner's conditions may leave out what it names.
        required_symbols=frozenset(question.tickers if dataset == RATINGS else ()),
    )
    host = job.base_url or job.settings.tradingview_url
    headers, window = tradingview.HEADERS, tradingview.WINDOW
    with job.make_client("tradingview", host, headers=headers, window=window) as client:
        landed = land(job.data_dir, fetch, tradingview.scan(client, question), job.clock)
        calls = client.calls
    if landed.unanswered or landed.path is None:
        raise DataError(
            f"tradingview {question.path} does not know {', '.join(landed.unanswered)}; write them "
            "as EXCHANGE:SYMBOL (what it does know is landed)"
        )
    return LandedScan(landed.path, IngestReport((landed.path,), landed.rows, calls))


def _fresh(job: Job, question: Scan) -> Envelope | None:
    """The newest answer that still serves; one without rows does not."""
    for envelope in reversed(bookmarks.landed(job.data_dir, schema.SCAN)):
        is_fresh = job.is_fresh(envelope.ingested_at)
        if envelope.request_hash == question.request_hash and is_fresh and _has_rows(envelope.path):
            return envelope
    return None


def _has_rows(path: Path) -> bool:
    return bool(pq.read_metadata(path).num_rows)
