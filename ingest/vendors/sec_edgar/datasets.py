"""SEC EDGAR's datasets: companies by CIK or present ticker, removals from listing by quarter."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from ingest.landing.bookmarks import Envelope
from ingest.landing.chunks import Chunk, ChunkSource, named_symbols, stale_symbols, windows_to_ask
from ingest.landing.job import Job
from ingest.landing.reference import ReferenceSource
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import ClassifyRefusal, VendorClient
from ingest.vendors.dataset import (
    NEW_YORK,
    Tracking,
    Vendor,
    chunk_dataset,
    every,
    last_session,
    newest_rows,
    reference_dataset,
)
from ingest.vendors.sec_edgar import client as sec_edgar
from ingest.vendors.sec_edgar import form25, schema
from trademl.errors import ConfigError
from trademl.settings import Settings
from trademl.symbology import to_vendor

FORM_25_HISTORY = date(2000, 1, 1)
INDEX_CHANGES = timedelta(days=7)
DAYS_PER_FILE = 92
Ask = Callable[[VendorClient, str], Iterator[Page]]


def _connect(
    job: Job, host: str, classify_refusal: ClassifyRefusal = sec_edgar.classify_refusal
) -> VendorClient:
    return job.make_client(
        "sec_edgar",
        job.base_url or host,
        headers=sec_edgar.headers(job.settings.sec_user_agent),
        classify_refusal=classify_refusal,
        pace=sec_edgar.PACE,
    )


def _data(job: Job) -> VendorClient:
    return _connect(job, job.settings.sec_data_url)


def _www(job: Job) -> VendorClient:
    return _connect(job, job.settings.sec_www_url)


def _archives(job: Job) -> VendorClient:
    return _connect(job, job.settings.sec_www_url, form25.classify_refusal)


def _ciks(job: Job, dataset: str) -> tuple[str, ...]:
    """CIKs as they are, present tickers through the newest landed list."""
    names = [
        to_vendor(name.upper(), schema.TICKERS.class_mark) for name in named_symbols(job, dataset)
    ]
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


def _companies_to_ask(job: Job, before: list[Envelope], dataset: str) -> list[Chunk]:
    return stale_symbols(replace(job, symbols=_ciks(job, dataset)), before, dataset)


def _by_company(
    endpoint: Endpoint, dataset: str, ask: Ask, requires_rows: bool = False
) -> ChunkSource:
    return ChunkSource(
        endpoint,
        dataset,
        _data,
        partial(_companies_to_ask, dataset=dataset),
        lambda client, chunk, _job: ask(client, chunk.symbols[0]),
        requires_rows,
    )


def _removals_to_ask(job: Job, before: list[Envelope]) -> list[Chunk]:
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


def _removals(client: VendorClient, chunk: Chunk, _job: Job) -> Iterator[Page]:
    assert chunk.start is not None
    assert chunk.end is not None
    return form25.removals(client, chunk.start, chunk.end)


def _tickers(job: Job, _window: tuple[date, date]) -> Iterator[Page]:
    with _www(job) as client:
        yield from sec_edgar.tickers(client)


def _companies(data_dir: Path, _settings: Settings, universe: Sequence[str]) -> Sequence[str]:
    """The CIKs of the universe, as far as the SEC lists its names now."""
    if not universe:
        return ()
    rows = newest_rows(data_dir, schema.TICKERS, "company_tickers", ["ticker", "cik"])
    known = {row["ticker"]: row["cik"] for row in rows}
    ciks = (known.get(to_vendor(symbol, schema.TICKERS.class_mark)) for symbol in universe)
    return tuple(dict.fromkeys(cik for cik in ciks if cik is not None))


VENDOR = Vendor(
    name="sec_edgar",
    endpoints=schema.ALL,
    settings=("sec_user_agent",),
    datasets=(
        reference_dataset(
            ReferenceSource(schema.TICKERS, "company_tickers", None, _tickers),
            scope="market",
            tracking=Tracking(turn=30, last_expected=every(7)),
        ),
        chunk_dataset(
            _by_company(schema.COMPANIES, "companies", sec_edgar.company, requires_rows=True)
        ),
        chunk_dataset(
            _by_company(
                schema.SUBMISSIONS, "filings_index", sec_edgar.submissions, requires_rows=True
            ),
            window="none",
            tracking=Tracking(
                turn=150, last_expected=last_session, needs=schema.TICKERS, names=_companies
            ),
        ),
        chunk_dataset(
            _by_company(schema.FACTS, "fundamentals_facts", sec_edgar.companyfacts),
            window="none",
            tracking=Tracking(
                turn=160, last_expected=every(7), needs=schema.TICKERS, names=_companies
            ),
        ),
        chunk_dataset(
            ChunkSource(schema.FORM_25, "delistings", _archives, _removals_to_ask, _removals),
            scope="market",
            tracking=Tracking(turn=100, last_expected=last_session),
        ),
    ),
)
