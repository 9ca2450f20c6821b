"""Massive's datasets."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from ingest.landing.bookmarks import Envelope
from ingest.landing.job import Job
from ingest.landing.market_bars import MarketBarSource
from ingest.landing.reference import ReferenceSource
from ingest.landing.symbol_bars import BarSource
from ingest.landing.windows import Span
from ingest.payloads.decode import Page
from ingest.transport.client import VendorClient
from ingest.vendors.dataset import (
    EQUITY_HISTORY,
    MINUTE_OVERLAP,
    MINUTES_PER_SESSION,
    NEW_YORK,
    OVERLAP,
    YEAR,
    BarColumns,
    Vendor,
    bar_dataset,
    market_bar_dataset,
    named_symbols,
    newest_rows,
    recent_actions_window,
    reference_dataset,
)
from ingest.vendors.massive import bars as massive_bars
from ingest.vendors.massive import client as massive
from ingest.vendors.massive import options as massive_options
from ingest.vendors.massive import schema
from trademl.errors import ConfigError
from trademl.sessions import last_completed, sessions_before

FREE_HISTORY = 2 * YEAR - timedelta(days=7)
"""The free plan reaches back two years; a week of that is left away for safety."""
_GROUPED_OVERLAP = 2
"""Corrections come overnight, and the free plan has five calls a minute."""


def _connect(job: Job) -> VendorClient:
    key = job.settings.massive_api_key.get_secret_value()
    if not key:
        raise ConfigError("massive needs a key: set MASSIVE_API_KEY")
    return job.make_client(
        "massive",
        job.base_url or job.settings.massive_url,
        headers=massive.headers(key),
        classify_refusal=massive.classify_refusal,
        window=massive.WINDOW,
    )


def _last_complete(clock: datetime) -> date:
    return last_completed(clock, massive_bars.PUBLICATION_LAG)


def _listed(data_dir: Path) -> list[str]:
    """The tickers of the listing that was landed last."""
    rows = newest_rows(data_dir, schema.TICKERS, "universe_pit", ["ticker"])
    return [row["ticker"] for row in rows]


def _days(
    client: VendorClient, symbols: Sequence[str], start: date, end: date, _clock: datetime
) -> Iterator[Page]:
    return massive_bars.aggregates(client, schema.DAYS, symbols, start, end)


def _minutes(
    client: VendorClient, symbols: Sequence[str], start: date, end: date, _clock: datetime
) -> Iterator[Page]:
    return massive_bars.aggregates(client, schema.MINUTES, symbols, start, end)


def _splits(job: Job, window: Span) -> Iterator[Page]:
    with _connect(job) as client:
        yield from massive.splits(client, job.symbols or (), *window)


def _dividends(job: Job, window: Span) -> Iterator[Page]:
    with _connect(job) as client:
        yield from massive.dividends(client, job.symbols or (), *window)


def _tickers(job: Job, window: Span) -> Iterator[Page]:
    with _connect(job) as client:
        yield from massive.tickers(client, window[1])


def _delisted(job: Job, window: Span) -> Iterator[Page]:
    with _connect(job) as client:
        yield from massive.delisted_tickers(client, window[1])


def _options(job: Job, _window: Span) -> Iterator[Page]:
    with _connect(job) as client:
        yield from massive_options.chain(client, named_symbols(job, "options_chain"))


def _one_day(job: Job, _before: list[Envelope]) -> Span:
    """A listing is as of one day: ``--end``, else ``--start``, else today in New York."""
    day = job.end or job.start or job.clock.astimezone(NEW_YORK).date()
    if job.start and job.start != day:
        raise ConfigError(f"a listing is as of one day; give {day} as --start too, or none")
    return day, day


_DAY_BARS = BarSource(
    endpoint=schema.DAYS,
    dataset="equities_aggs_1d",
    history=EQUITY_HISTORY,
    last_complete=_last_complete,
    step_back=lambda day: sessions_before(day, OVERLAP),
    session_of=lambda moment: moment.astimezone(NEW_YORK).date(),
    listed=_listed,
    connect=_connect,
    pages=_days,
)
_MINUTE_BARS = replace(
    _DAY_BARS,
    endpoint=schema.MINUTES,
    dataset="equities_bars_1m",
    step_back=lambda day: sessions_before(day, MINUTE_OVERLAP),
    pages=_minutes,
    rows_per_session=MINUTES_PER_SESSION,
)
_MARKET = MarketBarSource(
    endpoint=schema.GROUPED,
    dataset="equities_bars_1d",
    history=lambda clock: clock.date() - FREE_HISTORY,
    last_complete=_last_complete,
    overlap=_GROUPED_OVERLAP,
    connect=_connect,
    page=massive_bars.grouped,
)

VENDOR = Vendor(
    name="massive",
    endpoints=schema.ALL,
    settings=("massive_api_key",),
    datasets=(
        market_bar_dataset(
            _MARKET,
            is_second_opinion=True,
            bar_columns=BarColumns(
                symbol="ticker", day="date", prices=("o", "h", "l", "c"), volume="v"
            ),
        ),
        bar_dataset(_DAY_BARS),
        bar_dataset(_MINUTE_BARS, keeps_history=True, is_stand_in=True),
        reference_dataset(
            ReferenceSource(
                schema.SPLITS, "corp_actions_splits", recent_actions_window, _splits, by_symbol=True
            )
        ),
        reference_dataset(
            ReferenceSource(
                schema.DIVIDENDS,
                "corp_actions_dividends",
                recent_actions_window,
                _dividends,
                by_symbol=True,
            )
        ),
        reference_dataset(
            ReferenceSource(schema.TICKERS, "universe_pit", _one_day, _tickers, is_as_of=True),
            scope="market",
            window="day",
            is_stand_in=True,
        ),
        reference_dataset(
            ReferenceSource(schema.DELISTED, "delistings", _one_day, _delisted, is_as_of=True),
            scope="market",
            window="day",
            is_stand_in=True,
        ),
        reference_dataset(
            ReferenceSource(schema.CHAIN, "options_chain", None, _options, by_symbol=True),
            is_stand_in=True,
        ),
    ),
)
