"""Finnhub's datasets."""

from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path

from ingest.landing.bookmarks import Envelope
from ingest.landing.job import Job
from ingest.landing.reference import ReferenceSource
from ingest.landing.symbol_bars import BarSource
from ingest.landing.windows import Span
from ingest.payloads.decode import Page
from ingest.transport.client import VendorClient
from ingest.vendors.dataset import (
    EQUITY_HISTORY,
    OVERLAP,
    Tracking,
    Vendor,
    bar_dataset,
    last_session,
    named_symbols,
    reference_dataset,
)
from ingest.vendors.finnhub import client as finnhub
from ingest.vendors.finnhub import schema
from trademl.errors import ConfigError
from trademl.sessions import last_completed, sessions_before

_MONTH_BACK, _QUARTER_AHEAD = timedelta(days=30), timedelta(days=90)


def _connect(job: Job) -> VendorClient:
    key = job.settings.finnhub_api_key.get_secret_value()
    if not key:
        raise ConfigError("finnhub needs a key: set FINNHUB_API_KEY")
    return job.make_client(
        "finnhub",
        job.base_url or job.settings.finnhub_url,
        headers=finnhub.headers(key),
        classify_refusal=finnhub.classify_refusal,
        is_refusal_body=finnhub.is_refusal_body,
        window=finnhub.WINDOW,
    )


def _listed(_data_dir: Path) -> list[str]:
    raise ConfigError("finnhub is asked by symbol: name some with --symbols")


def _options(job: Job, _window: Span) -> Iterator[Page]:
    with _connect(job) as client:
        yield from finnhub.option_chain(client, named_symbols(job, "options_chain"))


def _earnings(job: Job, window: Span) -> Iterator[Page]:
    with _connect(job) as client:
        yield from finnhub.earnings(client, job.symbols or (), *window)


def _earnings_window(job: Job, _before: list[Envelope]) -> Span:
    """The free plan has about a month of the past; what is ahead changes every day."""
    today = job.clock.date()
    return job.start or today - _MONTH_BACK, job.end or today + _QUARTER_AHEAD


_CANDLES = BarSource(
    endpoint=schema.CANDLES,
    dataset="equities_bars_1d",
    history=EQUITY_HISTORY,
    last_complete=lambda clock: last_completed(clock, finnhub.PUBLICATION_LAG),
    step_back=lambda day: sessions_before(day, OVERLAP),
    session_of=lambda moment: moment.astimezone(UTC).date(),
    listed=_listed,
    connect=_connect,
    pages=finnhub.candles,
)

VENDOR = Vendor(
    name="finnhub",
    endpoints=schema.ALL,
    settings=("finnhub_api_key",),
    datasets=(
        bar_dataset(_CANDLES),
        reference_dataset(
            ReferenceSource(schema.CHAIN, "options_chain", None, _options, by_symbol=True),
            is_stand_in=True,
        ),
        reference_dataset(
            ReferenceSource(
                schema.EARNINGS, "earnings_calendar", _earnings_window, _earnings, by_symbol=True
            ),
            tracking=Tracking(turn=120, last_expected=last_session),
        ),
    ),
)
