"""SEC EDGAR's datasets: companies by CIK or present ticker, removals from listing by quarter."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import partial

from ingest.landing.bookmarks import Envelope
from ingest.landing.chunks import Piece, PieceSource, named_symbols, stale_symbols, windows_to_ask
from ingest.landing.job import Job
from ingest.landing.reference import ReferenceSource
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import Judge, VendorClient
from ingest.vendors.dataset import NEW_YORK, newest_rows, piece_datasets, reference_datasets
from ingest.vendors.sec_edgar import client as sec_edgar
from ingest.vendors.sec_edgar import form25, schema
from trademl.errors import ConfigError
from trademl.symbology import to_vendor

FORM_25_HISTORY = date(2000, 1, 1)
INDEX_CHANGES = timedelta(days=7)
DAYS_PER_FILE = 92
Ask = Callable[[VendorClient, str], Iterator[Page]]


def _connect(job: Job, host: str, judge: Judge = sec_edgar.judge) -> VendorClient:
    return job.make_client(
        "sec_edgar",
        job.base_url or host,
        headers=sec_edgar.headers(job.settings.sec_user_agent),
        judge=judge,
        pace=sec_edgar.PACE,
    )


def _data(job: Job) -> VendorClient:
    return _connect(job, job.settings.sec_data_url)


def _www(job: Job) -> VendorClient:
    return _connect(job, job.settings.sec_www_url)


def _archives(job: Job) -> VendorClient:
    return _connect(job, job.settings.sec_www_url, form25.judge)


def _ciks(job: Job, dataset: str) -> tuple[str, ...]:
    """CIKs as they are, present tickers through the newest landed list."""
    names = [to_vendor("sec_edgar", name.upper()) for name in named_symbols(job, dataset)]
    tickers = {name for name in names if not sec_edgar.is_cik(name)}
    known: dict[str, str] = {}
    if tickers:
        rows = newest_rows(job.data_dir, schema.TICKERS, "company_tickers", ["ticker", "cik"])
        known = {row["ticker"]: row["cik"] for row in rows}
    absent = sorted(tickers - known.keys())
    if absent:
        raise ConfigError(
            f"sec_edgar lists no {', '.join(absent)} now; give the CIK of a company that is gone"
        )
    return tuple(
        sec_edgar.cik_of(name) if sec_edgar.is_cik(name) else known[name] for name in names
    )


def _companies_to_ask(job: Job, before: list[Envelope], dataset: str) -> list[Piece]:
    return stale_symbols(replace(job, symbols=_ciks(job, dataset)), before, dataset)


def _by_company(
    endpoint: Endpoint, dataset: str, ask: Ask, must_answer: bool = False
) -> PieceSource:
    return PieceSource(
        endpoint,
        dataset,
        _data,
        partial(_companies_to_ask, dataset=dataset),
        lambda client, piece, _job: ask(client, piece.symbols[0]),
        must_answer,
    )


def _removals_to_ask(job: Job, before: list[Envelope]) -> list[Piece]:
    if job.symbols:
        raise ConfigError("delistings are fetched for all companies; leave --symbols away")
    return windows_to_ask(
        job,
        before,
        history=FORM_25_HISTORY,
        last=job.clock.astimezone(NEW_YORK).date(),
        overlap=INDEX_CHANGES,
        days=DAYS_PER_FILE,
    )


def _removals(client: VendorClient, piece: Piece, _job: Job) -> Iterator[Page]:
    assert piece.start is not None
    assert piece.end is not None
    return form25.removals(client, piece.start, piece.end)


def _tickers(job: Job, _window: tuple[date, date]) -> Iterator[Page]:
    with _www(job) as client:
        yield from sec_edgar.tickers(client)


DATASETS = reference_datasets(
    ReferenceSource(schema.TICKERS, "company_tickers", None, _tickers)
) | piece_datasets(
    _by_company(schema.COMPANIES, "companies", sec_edgar.company, must_answer=True),
    _by_company(schema.SUBMISSIONS, "filings_index", sec_edgar.submissions, must_answer=True),
    _by_company(schema.FACTS, "fundamentals_facts", sec_edgar.companyfacts),
    PieceSource(schema.FORM_25, "delistings", _archives, _removals_to_ask, _removals),
)
