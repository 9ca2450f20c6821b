"""A task of the queue becomes a call of ``run_ingest``."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from ingest.control.tasks import Task
from ingest.landing.job import IngestReport
from ingest.node.providers import Pair, connector
from ingest.sync import run_ingest
from ingest.transport.client import ClientFactory, VendorClient
from ingest.vendors.fmp import datasets as fmp
from ingest.vendors.registry import DATASETS
from trademl.errors import ConfigError
from trademl.settings import Settings

_WHOLE_MARKET = frozenset(
    {
        ("alpaca", "assets"),
        ("alpaca", "calendar"),
        ("alphavantage", "delistings"),
        ("alphavantage", "universe_pit"),
        ("binance", "crypto_filters"),
        ("fmp", "delistings"),
        ("massive", "delistings"),
        ("massive", "equities_bars_1d"),
        ("massive", "universe_pit"),
        ("sec_edgar", "company_tickers"),
        ("sec_edgar", "delistings"),
    }
)
"""Asked for all symbols at once, whatever the task names."""

_ONE_DAY = frozenset(
    {
        ("alphavantage", "delistings"),
        ("alphavantage", "universe_pit"),
        ("massive", "delistings"),
        ("massive", "universe_pit"),
    }
)
"""Lists as of one day: the last one of the task."""

_NO_WINDOW = frozenset(
    {
        ("alphavantage", "corp_actions_splits"),
        ("alphavantage", "earnings_history"),
        ("fmp", "fundamentals_statements"),
        ("fred", "macro_vintage_dates"),
        ("fred", "macro_vintages"),
        ("sec_edgar", "filings_index"),
        ("sec_edgar", "fundamentals_facts"),
    }
)
"""Asked for all there is, or for what is new since the last time."""

_REACHES_BACK: Mapping[Pair, timedelta] = {("fmp", "earnings_calendar"): timedelta(days=30)}
"""What FORWARD asks of a stand-in, which would else begin with all of its history: one file,
so that a retry repeats none."""


def fulfil(
    task: Task,
    vendor: str,
    *,
    data_dir: Path,
    clock: datetime,
    settings: Settings,
    universe: Sequence[str] | None = None,
    base_url: str | None = None,
    make_client: ClientFactory = VendorClient,
) -> IngestReport:
    """Lands what a task asks for.

    Args:
        task: The task.
        vendor: Who is asked.
        data_dir: The data directory.
        clock: The time of asking, aware.
        settings: Hosts and keys.
        universe: The symbols of a task without one; none for all that the vendor lists.
        base_url: Replaces every host of the vendor.
        make_client: Opens a client.

    Raises:
        TradeMLError: What ``run_ingest`` raises.
    """
    pair = connector(vendor, task.dataset)
    if pair not in DATASETS:
        raise ConfigError(f"no connector lands {task.dataset} of {vendor}")
    start, end = _window(task, vendor)
    return run_ingest(
        *pair,
        data_dir=data_dir,
        clock=clock,
        settings=settings,
        start=None if (vendor, task.dataset) in _ONE_DAY else start,
        end=end,
        symbols=_symbols(task, vendor, universe),
        base_url=base_url,
        make_client=make_client,
        refetch=task.kind in ("GAP", "QC_PROBE"),
    )


def _window(task: Task, vendor: str) -> tuple[date | None, date | None]:
    """First and last day to ask, none where the dataset itself knows."""
    days = _REACHES_BACK.get((vendor, task.dataset))
    if task.kind == "FORWARD" and days is not None:
        first = task.start - days
        return first, first + timedelta(days=fmp.DAYS_PER_FILE - 1)
    if _has_no_window(task, vendor):
        return None, None
    return task.start, task.end - timedelta(days=1)


def _has_no_window(task: Task, vendor: str) -> bool:
    """Whether the dataset itself knows best what to ask for."""
    is_reference = not task.dataset.endswith(("_1d", "_1m"))
    return (vendor, task.dataset) in _NO_WINDOW or (task.kind == "FORWARD" and is_reference)


def _symbols(task: Task, vendor: str, universe: Sequence[str] | None) -> Sequence[str] | None:
    if (vendor, task.dataset) in _WHOLE_MARKET:
        return None
    if task.symbol:
        return (task.symbol,)
    # Events of a universe are few: they are asked for all symbols, bars are not.
    return universe if task.dataset.startswith("equities_bars") else None
