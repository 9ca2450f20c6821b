"""Binance's datasets."""

from collections.abc import Iterator
from datetime import UTC, date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from ingest.landing.job import Job
from ingest.landing.reference import ReferenceSource
from ingest.landing.symbol_bars import BarSource
from ingest.landing.windows import Span
from ingest.payloads.decode import Page
from ingest.transport.client import VendorClient
from ingest.vendors.binance import client as binance
from ingest.vendors.binance import schema
from ingest.vendors.dataset import (
    OVERLAP,
    Tracking,
    Vendor,
    bar_dataset,
    newest_rows,
    reference_dataset,
)

CRYPTO_HISTORY = date(2010, 1, 1)


def _binance(job: Job) -> VendorClient:
    host = job.base_url or job.settings.binance_url
    return job.make_client("binance", host, classify_refusal=binance.classify_refusal)


def listed_crypto(data_dir: Path) -> list[str]:
    """Pairs quoted in USDT: the lake counts their quote volume as dollars."""
    rows = newest_rows(data_dir, schema.EXCHANGE_INFO, "crypto_filters", ["symbol", "quote_asset"])
    return [row["symbol"] for row in rows if row["quote_asset"] == "USDT"]


def _binance_filters(job: Job, _window: Span) -> Iterator[Page]:
    with _binance(job) as client:
        yield from binance.exchange_info(client)


_CRYPTO_BARS = BarSource(
    endpoint=schema.KLINES,
    dataset="crypto_bars_1d",
    history=CRYPTO_HISTORY,
    last_complete=binance.last_full_day,
    step_back=lambda day: day - timedelta(days=OVERLAP - 1),
    session_of=lambda moment: moment.astimezone(UTC).date(),
    listed=listed_crypto,
    connect=_binance,
    pages=binance.klines,
)

VENDOR = Vendor(
    name="binance",
    endpoints=schema.ALL,
    datasets=(
        reference_dataset(
            ReferenceSource(schema.EXCHANGE_INFO, "crypto_filters", None, _binance_filters),
            scope="market",
            feeds_lake=True,
            tracking=Tracking(turn=20, last_expected=binance.last_full_day),
        ),
        bar_dataset(
            _CRYPTO_BARS,
            feeds_lake=True,
            keeps_history=True,
            tracking=Tracking(
                turn=70,
                last_expected=binance.last_full_day,
                zone=ZoneInfo("UTC"),
                needs=schema.EXCHANGE_INFO,
                is_bars=True,
                listed=listed_crypto,
            ),
        ),
    ),
)
