"""FMP's datasets."""

from collections.abc import Iterator
from datetime import UTC, date, timedelta
from functools import partial
from pathlib import Path

from ingest.landing.bookmarks import Envelope
from ingest.landing.chunks import (
    Chunk,
    ChunkSource,
    fresh_symbols,
    land_chunks,
    stale_symbols,
    windows_to_ask,
)
from ingest.landing.job import IngestReport, Job
from ingest.landing.reference import ReferenceSource
from ingest.landing.symbol_bars import BarSource
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import VendorClient
from ingest.vendors.dataset import (
    ACTIONS_MARGIN,
    EQUITY_HISTORY,
    OVERLAP,
    BarColumns,
    Dataset,
    Tracking,
    Vendor,
    bar_dataset,
    chunk_dataset,
    every,
    reference_dataset,
    settled_session,
    universe_names,
)
from ingest.vendors.fmp import client as fmp
from ingest.vendors.fmp import schema
from trademl.errors import ConfigError
from trademl.sessions import sessions_before

EVENTS_CHANGE = timedelta(days=30)
"""Calendars are corrected for some weeks after the day."""
DAYS_PER_FILE = 90
SYMBOLS_PER_FILE = 20


def _connect(job: Job) -> VendorClient:
    key = job.settings.fmp_key.get_secret_value()
    if not key:
        raise ConfigError("fmp needs a key: set FMP_API_KEY")
    return job.make_client(
        "fmp",
        job.base_url or job.settings.fmp_url,
        headers=fmp.headers(key),
        classify_refusal=fmp.classify_refusal,
        is_refusal_body=fmp.is_refusal_body,
        window=fmp.LIMIT_WAIT,
    )


def _unlisted(_data_dir: Path) -> list[str]:
    raise ConfigError("fmp is asked name by name; say which ones with --symbols")


def _delisted(job: Job, _window: tuple[date, date]) -> Iterator[Page]:
    with _connect(job) as client:
        yield from fmp.delisted(client)


def _events_plan(job: Job, before: list[Envelope], dataset: str) -> list[Chunk]:
    """Windows of all symbols, or the whole history of named ones."""
    if job.symbols:
        if job.start or job.end:
            raise ConfigError(f"{dataset} of a symbol has no window; leave --start and --end away")
        fresh = fresh_symbols(job, before)
        return [Chunk((name,)) for name in job.symbols if name not in fresh]
    return windows_to_ask(
        job,
        before,
        history=EQUITY_HISTORY,
        last=job.clock.date() + ACTIONS_MARGIN,
        overlap=ACTIONS_MARGIN + EVENTS_CHANGE,
        days=DAYS_PER_FILE,
    )


def _events(dataset: str, calendar: fmp.Calendar) -> ChunkSource:
    def pages(client: VendorClient, chunk: Chunk, _job: Job) -> Iterator[Page]:
        if chunk.symbols:
            return fmp.events_of_symbol(client, calendar, chunk.symbols[0])
        assert chunk.start is not None
        assert chunk.end is not None
        return fmp.events(client, calendar, chunk.start, chunk.end)

    plan = partial(_events_plan, dataset=dataset)
    return ChunkSource(calendar.endpoint, dataset, _connect, plan, pages)


def _statement(endpoint: Endpoint) -> ChunkSource:
    name = "fundamentals_statements"
    return ChunkSource(
        endpoint,
        name,
        _connect,
        partial(stale_symbols, dataset=name),
        lambda client, chunk, _job: fmp.statements(client, endpoint, chunk.symbols[0]),
        requires_rows=True,
    )


def _statements(job: Job) -> IngestReport:
    """Income, balance sheet and cash flow, each into its own endpoint."""
    sources = (_statement(schema.INCOME), _statement(schema.BALANCE), _statement(schema.CASH_FLOW))
    reports = [land_chunks(job, source) for source in sources]
    return IngestReport(
        tuple(path for report in reports for path in report.files),
        sum(report.rows for report in reports),
        skipped=tuple(dict.fromkeys(why for report in reports for why in report.skipped)),
    )


_BARS = BarSource(
    endpoint=schema.PRICES,
    dataset="equities_bars_1d",
    history=EQUITY_HISTORY,
    last_complete=settled_session,
    step_back=lambda day: sessions_before(day, OVERLAP),
    session_of=lambda moment: moment.astimezone(UTC).date(),
    listed=_unlisted,
    connect=_connect,
    pages=fmp.prices,
    symbols_per_fetch=SYMBOLS_PER_FILE,
)

VENDOR = Vendor(
    name="fmp",
    endpoints=schema.ALL,
    settings=("fmp_key",),
    datasets=(
        bar_dataset(
            _BARS,
            is_second_opinion=True,
            bar_columns=BarColumns(
                symbol="symbol",
                day="date",
                prices=("adjOpen", "adjHigh", "adjLow", "adjClose"),
                volume="volume",
            ),
        ),
        reference_dataset(
            ReferenceSource(schema.DELISTED, "delistings", None, _delisted),
            scope="market",
            is_stand_in=True,
        ),
        Dataset(
            name="fundamentals_statements",
            endpoint=schema.CASH_FLOW,
            land=_statements,
            window="none",
            # Three calls a name of 250 a day.
            tracking=Tracking(turn=170, last_expected=every(7), names=universe_names),
        ),
        chunk_dataset(
            _events("earnings_calendar", fmp.EARNINGS_CALENDAR),
            forward_days=30,
            forward_span=DAYS_PER_FILE,
            is_stand_in=True,
        ),
        chunk_dataset(_events("corp_actions_dividends", fmp.DIVIDENDS_CALENDAR)),
        chunk_dataset(_events("corp_actions_splits", fmp.SPLITS_CALENDAR)),
    ),
)
