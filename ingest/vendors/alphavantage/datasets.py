"""Alpha Vantage's datasets: one file per symbol, since the free plan ends after 25 calls a day."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, timedelta
from functools import partial
from pathlib import Path

from ingest.landing import bookmarks
from ingest.landing.bookmarks import Envelope
from ingest.landing.chunks import Chunk, ChunkSource, Plan, named_symbols, stale_symbols
from ingest.landing.job import Job
from ingest.landing.symbol_bars import BarSource
from ingest.landing.windows import first_missing_day
from ingest.payloads.decode import Page
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import VendorClient
from ingest.vendors.alphavantage import client as alphavantage
from ingest.vendors.alphavantage import schema
from ingest.vendors.dataset import (
    EQUITY_HISTORY,
    OVERLAP,
    Tracking,
    Vendor,
    bar_dataset,
    chunk_dataset,
    every,
    newest_rows,
    settled_session,
    universe_names,
)
from trademl.errors import ConfigError
from trademl.sessions import sessions_before, sessions_between
from trademl.symbology import from_vendor

_DAY = timedelta(days=1)


def _connect(job: Job) -> VendorClient:
    key = job.settings.alphavantage_key.get_secret_value()
    if not key:
        raise ConfigError("alphavantage needs a key: set ALPHAVANTAGE_API_KEY")
    return job.make_client(
        "alphavantage",
        job.base_url or job.settings.alphavantage_url,
        query_keys={"apikey": key},
        classify_refusal=alphavantage.classify_refusal,
        is_refusal_body=alphavantage.is_refusal_body,
        pace=alphavantage.PACE,
        window=alphavantage.BURST_WAIT,
    )


def _last_session(job: Job) -> date:
    last = settled_session(job.clock)
    return min(job.end, last) if job.end else last


def _listed(data_dir: Path) -> list[str]:
    rows = newest_rows(data_dir, alphavantage.LISTED["active"], "universe_pit", ["symbol"])
    return [from_vendor(row["symbol"], schema.LISTING_STATUS_ACTIVE.class_mark) for row in rows]


def _as_of(job: Job, before: list[Envelope], dataset: str) -> list[Chunk]:
    """The list of one day, which is the same whenever it is asked."""
    if job.symbols or job.start:
        raise ConfigError(f"{dataset} is a list as of one day; give that day as --end, no more")
    day = _last_session(job)
    if day < alphavantage.LISTINGS_BEGIN:
        raise ConfigError(f"{dataset} begins {alphavantage.LISTINGS_BEGIN}, {day} was asked")
    return [] if any(envelope.end == day for envelope in before) else [Chunk((), day, day)]


def _chains(job: Job, before: list[Envelope]) -> list[Chunk]:
    """One piece per symbol and session that is not landed."""
    last = _last_session(job)
    start, names = job.start or last, named_symbols(job, "options_chain")
    if start < alphavantage.OPTIONS_BEGIN:
        raise ConfigError(f"options begin {alphavantage.OPTIONS_BEGIN}, {start} was asked")
    spans = bookmarks.coverage(before, names)
    chunks = []
    for symbol in names:
        first = first_missing_day(spans, symbol, start, last, start, lambda day: day + _DAY)
        days = sessions_between(first, last) if first else []
        chunks += [Chunk((symbol,), session.day, session.day) for session in days]
    return chunks


def _listing(client: VendorClient, chunk: Chunk, _job: Job, state: str) -> Iterator[Page]:
    assert chunk.end is not None
    return alphavantage.listing_status(client, chunk.end, state)


def _chain(client: VendorClient, chunk: Chunk, _job: Job) -> Iterator[Page]:
    assert chunk.end is not None
    return alphavantage.historical_options(client, chunk.symbols[0], chunk.end)


def _listings(dataset: str, state: str) -> ChunkSource:
    return ChunkSource(
        alphavantage.LISTED[state],
        dataset,
        _connect,
        partial(_as_of, dataset=dataset),
        partial(_listing, state=state),
    )


def _by_symbol(
    endpoint: Endpoint, dataset: str, ask: Callable[[VendorClient, str], Iterator[Page]]
) -> ChunkSource:
    plan: Plan = partial(stale_symbols, dataset=dataset)
    return ChunkSource(
        endpoint, dataset, _connect, plan, lambda client, chunk, _job: ask(client, chunk.symbols[0])
    )


_BARS = BarSource(
    endpoint=schema.DAILY,
    dataset="equities_bars_1d",
    history=EQUITY_HISTORY,
    last_complete=settled_session,
    step_back=lambda day: sessions_before(day, OVERLAP),
    session_of=lambda moment: moment.astimezone(UTC).date(),
    listed=_listed,
    connect=_connect,
    pages=alphavantage.daily,
    symbols_per_fetch=1,
)

VENDOR = Vendor(
    name="alphavantage",
    endpoints=schema.ALL,
    settings=("alphavantage_key",),
    datasets=(
        bar_dataset(_BARS),
        chunk_dataset(
            _listings("universe_pit", "active"),
            scope="market",
            window="day",
            tracking=Tracking(turn=110, last_expected=settled_session),
        ),
        chunk_dataset(
            _listings("delistings", "delisted"), scope="market", window="day", is_stand_in=True
        ),
        chunk_dataset(
            _by_symbol(schema.SPLITS, "corp_actions_splits", alphavantage.splits), window="none"
        ),
        chunk_dataset(
            _by_symbol(schema.DIVIDENDS, "corp_actions_dividends", alphavantage.dividends),
            window="none",
        ),
        chunk_dataset(
            _by_symbol(schema.EARNINGS, "earnings_history", alphavantage.earnings),
            window="none",
            # One call a name of 25 a day.
            tracking=Tracking(turn=180, last_expected=every(28), names=universe_names),
        ),
        chunk_dataset(ChunkSource(schema.OPTIONS, "options_chain", _connect, _chains, _chain)),
    ),
)
