"""Alpaca's datasets."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

from ingest.landing.job import Job
from ingest.landing.reference import ReferenceSource
from ingest.landing.symbol_bars import BarSource
from ingest.landing.windows import Span
from ingest.payloads.decode import Page
from ingest.transport.client import VendorClient
from ingest.vendors.alpaca import client as alpaca
from ingest.vendors.alpaca import options as alpaca_options
from ingest.vendors.alpaca import schema
from ingest.vendors.dataset import (
    EQUITY_HISTORY,
    MINUTE_OVERLAP,
    MINUTES_PER_SESSION,
    NEW_YORK,
    OVERLAP,
    actions_window,
    bar_datasets,
    calendar_window,
    named_symbols,
    newest_rows,
    reference_datasets,
)
from trademl.errors import ConfigError
from trademl.sessions import last_completed, sessions_before

_TAPE_BEGINS = date(2016, 1, 1)
"""The vendor has the consolidated tape from then on."""


def _alpaca(job: Job, host: str) -> VendorClient:
    key = job.settings.alpaca_key_id.get_secret_value()
    secret = job.settings.alpaca_secret_key.get_secret_value()
    if not key or not secret:
        raise ConfigError("alpaca needs keys: set APCA_API_KEY_ID and APCA_API_SECRET_KEY")
    return job.make_client(
        "alpaca",
        job.base_url or host,
        headers=alpaca.headers(key, secret),
        classify_refusal=alpaca.classify_refusal,
    )


def _alpaca_data(job: Job) -> VendorClient:
    return _alpaca(job, job.settings.alpaca_data_url)


def _alpaca_trading(job: Job) -> VendorClient:
    return _alpaca(job, job.settings.alpaca_trading_url)


def tradable_equities(data_dir: Path) -> list[str]:
    """Active, tradable US equities of the landed listing, by name; OTC names are not among them.

    Raises:
        DataError: No listing was landed yet.
    """
    columns = ["symbol", "exchange", "status", "tradable"]
    rows = newest_rows(data_dir, schema.ASSETS, "assets", columns)
    return sorted(
        row["symbol"]
        for row in rows
        if row["exchange"] != "OTC" and row["status"] == "active" and row["tradable"]
    )


def listed_equities(data_dir: Path) -> list[str]:
    """Active and inactive equities of the consolidated tape; OTC names are not on it."""
    rows = newest_rows(data_dir, schema.ASSETS, "assets", ["symbol", "exchange"])
    return [row["symbol"] for row in rows if row["exchange"] != "OTC"]


def _alpaca_bars(
    client: VendorClient, symbols: Sequence[str], start: date, end: date, _clock: datetime
) -> Iterator[Page]:
    return alpaca.bars(client, symbols, start, end)


def _alpaca_minutes(
    client: VendorClient, symbols: Sequence[str], start: date, end: date, _clock: datetime
) -> Iterator[Page]:
    return alpaca.minutes(client, symbols, start, end)


def _alpaca_options(job: Job, _window: Span) -> Iterator[Page]:
    with _alpaca_data(job) as client:
        yield from alpaca_options.snapshots(client, named_symbols(job, "options_chain"))


def _alpaca_actions(job: Job, window: Span) -> Iterator[Page]:
    with _alpaca_data(job) as client:
        yield from alpaca.corporate_actions(client, job.symbols or (), *window)


def _alpaca_assets(job: Job, _window: Span) -> Iterator[Page]:
    with _alpaca_trading(job) as client:
        yield from alpaca.assets(client)


def _alpaca_calendar(job: Job, window: Span) -> Iterator[Page]:
    with _alpaca_trading(job) as client:
        yield from alpaca.calendar(client, *window)


_EQUITY_BARS = BarSource(
    endpoint=schema.BARS,
    dataset="equities_bars_1d",
    history=EQUITY_HISTORY,
    last_complete=lambda clock: last_completed(clock, alpaca.PUBLICATION_LAG),
    step_back=lambda day: sessions_before(day, OVERLAP),
    session_of=lambda moment: moment.astimezone(NEW_YORK).date(),
    listed=listed_equities,
    connect=_alpaca_data,
    pages=_alpaca_bars,
)
_MINUTE_BARS = replace(
    _EQUITY_BARS,
    endpoint=schema.MINUTES,
    dataset="equities_bars_1m",
    history=_TAPE_BEGINS,
    last_complete=lambda clock: last_completed(clock, alpaca.MINUTE_LAG),
    step_back=lambda day: sessions_before(day, MINUTE_OVERLAP),
    pages=_alpaca_minutes,
    rows_per_session=MINUTES_PER_SESSION,
)

DATASETS = bar_datasets(_EQUITY_BARS, _MINUTE_BARS) | reference_datasets(
    ReferenceSource(
        schema.ACTIONS, "corp_actions", actions_window, _alpaca_actions, by_symbol=True
    ),
    ReferenceSource(schema.SNAPSHOTS, "options_chain", None, _alpaca_options, by_symbol=True),
    ReferenceSource(schema.ASSETS, "assets", None, _alpaca_assets),
    ReferenceSource(schema.CALENDAR, "calendar", calendar_window, _alpaca_calendar),
)
