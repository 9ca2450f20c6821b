"""``trademl ingest run``: lands what is missing of one dataset of one vendor, and nothing else."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from ingest import bookmarks
from ingest.bars import BarSource, land_bars
from ingest.bookmarks import Envelope, Span
from ingest.endpoints import Endpoint
from ingest.http import VendorClient
from ingest.jobs import ClientFactory, IngestReport, Job
from ingest.payloads import Page
from ingest.references import ReferenceSource, land_file, land_reference
from ingest.vendors import alpaca, binance, exchange_calendars
from trademl.errors import ConfigError, DataError
from trademl.settings import Settings

__all__ = ["DATASETS", "IngestReport", "run_ingest"]

EQUITY_HISTORY = date(2000, 1, 1)
CRYPTO_HISTORY = date(2010, 1, 1)
OVERLAP = 5
"""Sessions asked again each night: a correction or a recovered outage is seen for a week."""
ACTIONS_MARGIN = timedelta(days=90)
"""Actions are filtered by process date, which may lie months from the ex-date."""
_YEAR = timedelta(days=366)
_NEW_YORK = ZoneInfo("America/New_York")


def run_ingest(
    vendor: str,
    dataset: str,
    *,
    data_dir: Path,
    clock: datetime,
    settings: Settings,
    start: date | None = None,
    end: date | None = None,
    symbols: Sequence[str] | None = None,
    base_url: str | None = None,
    make_client: ClientFactory = VendorClient,
) -> IngestReport:
    """Lands what is missing. Where nothing is, no call is made and no file appears.

    Args:
        vendor: ``alpaca``, ``binance``, ``file`` or ``exchange_calendars``.
        dataset: One of the vendor's datasets, see ``DATASETS``.
        data_dir: The data directory.
        clock: The run's time, aware.
        settings: Hosts and keys.
        start: First day wanted.
        end: Last day wanted, inclusive.
        symbols: Symbols wanted; none takes all that the newest landed listing names.
        base_url: Replaces every host of the vendor.
        make_client: Opens a client.

    Raises:
        ConfigError: No such vendor or dataset, keys are not set, or the window is empty.
        DataError: A payload or a landed file cannot be trusted, or a named symbol is not known.
        VendorError: The vendor refused or failed.
    """
    land_missing = _dataset(vendor, dataset)
    if start and end and start > end:
        raise ConfigError(f"start {start} is after end {end}")
    named = tuple(dict.fromkeys(symbols)) if symbols is not None else None
    clients = _Clients(make_client)
    job = Job(data_dir, clock, settings, start, end, named, base_url, clients)
    return replace(land_missing(job), calls=clients.calls)


class _Clients:
    """Opens clients and adds up their calls."""

    def __init__(self, make_client: ClientFactory) -> None:
        self._make_client = make_client
        self._opened: list[VendorClient] = []

    def __call__(self, *args: str, **options: dict[str, str]) -> VendorClient:
        self._opened.append(self._make_client(*args, **options))
        return self._opened[-1]

    @property
    def calls(self) -> int:
        return sum(client.calls for client in self._opened)


def _dataset(vendor: str, dataset: str) -> Callable[[Job], IngestReport]:
    if (vendor, dataset) not in DATASETS:
        known = ", ".join(" ".join(names) for names in DATASETS)
        raise ConfigError(f"no dataset {dataset!r} of vendor {vendor!r}; there are: {known}")
    return DATASETS[vendor, dataset]


def _alpaca(job: Job, host: str) -> VendorClient:
    key = job.settings.alpaca_key_id.get_secret_value()
    secret = job.settings.alpaca_secret_key.get_secret_value()
    if not key or not secret:
        raise ConfigError("alpaca needs keys: set APCA_API_KEY_ID and APCA_API_SECRET_KEY")
    return job.make_client("alpaca", job.base_url or host, headers=alpaca.headers(key, secret))


def _alpaca_data(job: Job) -> VendorClient:
    return _alpaca(job, job.settings.alpaca_data_url)


def _alpaca_trading(job: Job) -> VendorClient:
    return _alpaca(job, job.settings.alpaca_trading_url)


def _binance(job: Job) -> VendorClient:
    return job.make_client("binance", job.base_url or job.settings.binance_url)


def _listed_equities(data_dir: Path) -> list[str]:
    """Active and inactive equities of the consolidated tape; OTC names are not on it."""
    rows = _newest_rows(data_dir, alpaca.ASSETS, "assets", ["symbol", "exchange"])
    return [row["symbol"] for row in rows if row["exchange"] != "OTC"]


def _listed_crypto(data_dir: Path) -> list[str]:
    """Pairs quoted in USDT: the lake counts their quote volume as dollars."""
    rows = _newest_rows(
        data_dir, binance.EXCHANGE_INFO, "crypto_filters", ["symbol", "quote_asset"]
    )
    return [row["symbol"] for row in rows if row["quote_asset"] == "USDT"]


def _newest_rows(
    data_dir: Path, endpoint: Endpoint, dataset: str, columns: list[str]
) -> list[dict[str, str]]:
    found = bookmarks.landed(data_dir, endpoint)
    if not found:
        raise DataError(
            f"which symbols? {endpoint.path} is not landed yet: run `trademl ingest run --vendor "
            f"{endpoint.vendor} --dataset {dataset}` first, or name them with --symbols"
        )
    with pq.ParquetFile(found[-1].path) as file:
        rows: list[dict[str, str]] = file.read(columns=columns).to_pylist()
    return rows


def _alpaca_bars(
    client: VendorClient, symbols: Sequence[str], start: date, end: date, _clock: datetime
) -> Iterator[Page]:
    return alpaca.bars(client, symbols, start, end)


def _alpaca_actions(job: Job, window: Span) -> Iterator[Page]:
    with _alpaca_data(job) as client:
        yield from alpaca.corporate_actions(client, job.symbols or (), *window)


def _alpaca_assets(job: Job, _window: Span) -> Iterator[Page]:
    with _alpaca_trading(job) as client:
        yield from alpaca.assets(client)


def _alpaca_calendar(job: Job, window: Span) -> Iterator[Page]:
    with _alpaca_trading(job) as client:
        yield from alpaca.calendar(client, *window)


def _binance_filters(job: Job, _window: Span) -> Iterator[Page]:
    with _binance(job) as client:
        yield from binance.exchange_info(client)


def _sessions(_job: Job, window: Span) -> Iterator[Page]:
    return exchange_calendars.session_pages(*window)


def _calendar_window(job: Job, _before: list[Envelope]) -> Span:
    """Calendars are known about a year ahead."""
    return job.start or EQUITY_HISTORY, job.end or job.clock.date() + _YEAR


def _actions_window(job: Job, before: list[Envelope]) -> Span:
    """From the last complete fetch on, with a margin on both sides."""
    whole = [found.ingested_at.date() for found in before if not found.symbols]
    start = max(whole) - ACTIONS_MARGIN if whole and not job.symbols else EQUITY_HISTORY
    return job.start or start, job.end or job.clock.date() + ACTIONS_MARGIN


_EQUITY_BARS = BarSource(
    endpoint=alpaca.BARS,
    dataset="equities_bars_1d",
    history=EQUITY_HISTORY,
    last_complete=lambda clock: exchange_calendars.last_completed(clock, alpaca.PUBLICATION_LAG),
    step_back=lambda day: exchange_calendars.sessions_before(day, OVERLAP),
    session_of=lambda moment: moment.astimezone(_NEW_YORK).date(),
    listed=_listed_equities,
    connect=_alpaca_data,
    pages=_alpaca_bars,
)
_CRYPTO_BARS = BarSource(
    endpoint=binance.KLINES,
    dataset="crypto_bars_1d",
    history=CRYPTO_HISTORY,
    last_complete=binance.last_full_day,
    step_back=lambda day: day - timedelta(days=OVERLAP - 1),
    session_of=lambda moment: moment.astimezone(UTC).date(),
    listed=_listed_crypto,
    connect=_binance,
    pages=binance.klines,
)
_REFERENCES = (
    ReferenceSource(
        alpaca.ACTIONS, "corp_actions", _actions_window, _alpaca_actions, by_symbol=True
    ),
    ReferenceSource(alpaca.ASSETS, "assets", None, _alpaca_assets),
    ReferenceSource(alpaca.CALENDAR, "calendar", _calendar_window, _alpaca_calendar),
    ReferenceSource(binance.EXCHANGE_INFO, "crypto_filters", None, _binance_filters),
    ReferenceSource(exchange_calendars.SESSIONS, "sessions", _calendar_window, _sessions),
)

DATASETS: dict[tuple[str, str], Callable[[Job], IngestReport]] = {
    **{
        (source.endpoint.vendor, source.dataset): partial(land_bars, source=source)
        for source in (_EQUITY_BARS, _CRYPTO_BARS)
    },
    **{
        (source.endpoint.vendor, source.dataset): partial(land_reference, source=source)
        for source in _REFERENCES
    },
    **{
        ("file", dataset): partial(land_file, dataset=dataset)
        for dataset in ("sectors", "index_membership", "earnings_dates")
    },
}
"""What can be ingested, by vendor and dataset."""
