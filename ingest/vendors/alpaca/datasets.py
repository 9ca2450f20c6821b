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
    BarColumns,
    Tracking,
    Vendor,
    actions_window,
    bar_dataset,
    calendar_window,
    every,
    last_session,
    named_symbols,
    newest_rows,
    reference_dataset,
    universe_names,
)
from trademl.errors import ConfigError
from trademl.sessions import last_completed, sessions_before

MINUTE_OVERLAP_DAYS = 3
"""Days of minutes asked again, of which a session has hundreds; over a weekend one session."""
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


def _last_minutes(clock: datetime) -> date:
    """A session's minutes go on until the evening."""
    return last_completed(clock, alpaca.MINUTE_LAG)


_EQUITY_BARS = BarSource(
    endpoint=schema.BARS,
    dataset="equities_bars_1d",
    history=EQUITY_HISTORY,
    last_complete=last_session,
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
    last_complete=_last_minutes,
    step_back=lambda day: sessions_before(day, MINUTE_OVERLAP),
    pages=_alpaca_minutes,
    rows_per_session=MINUTES_PER_SESSION,
)

VENDOR = Vendor(
    name="alpaca",
    endpoints=schema.ALL,
    settings=("alpaca_key_id", "alpaca_secret_key"),
    datasets=(
        reference_dataset(
            ReferenceSource(schema.ASSETS, "assets", None, _alpaca_assets),
            scope="market",
            feeds_lake=True,
            tracking=Tracking(turn=10, last_expected=last_session),
        ),
        reference_dataset(
            ReferenceSource(schema.CALENDAR, "calendar", calendar_window, _alpaca_calendar),
            scope="market",
            tracking=Tracking(turn=40, last_expected=every(7)),
        ),
        reference_dataset(
            ReferenceSource(
                schema.ACTIONS, "corp_actions", actions_window, _alpaca_actions, by_symbol=True
            ),
            serves=("corp_actions_splits", "corp_actions_dividends"),
            feeds_lake=True,
            tracking=Tracking(turn=50, last_expected=last_session),
        ),
        bar_dataset(
            _EQUITY_BARS,
            feeds_lake=True,
            keeps_history=True,
            bar_columns=BarColumns(
                symbol="symbol",
                day="cast(t at time zone 'America/New_York' as date)",
                prices=("o", "h", "l", "c"),
                volume="v",
            ),
            tracking=Tracking(
                turn=60,
                last_expected=last_session,
                needs=schema.ASSETS,
                is_bars=True,
                listed=listed_equities,
            ),
        ),
        reference_dataset(
            ReferenceSource(
                schema.SNAPSHOTS, "options_chain", None, _alpaca_options, by_symbol=True
            ),
            tracking=Tracking(turn=80, last_expected=last_session, names=universe_names),
        ),
        bar_dataset(
            _MINUTE_BARS,
            keeps_history=True,
            tracking=Tracking(
                turn=90,
                last_expected=_last_minutes,
                is_bars=True,
                names=universe_names,
                overlap=MINUTE_OVERLAP_DAYS,
            ),
        ),
    ),
)
