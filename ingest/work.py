"""What fills a task of the queue: which vendors may, and the call of ``run_ingest`` that does."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from ingest.catalog.capabilities import Registry
from ingest.catalog.routing import Known, route_window
from ingest.landing.job import IngestReport
from ingest.queue import Providers
from ingest.sync import run_ingest
from ingest.tasks import Task
from ingest.transport.client import ClientFactory, VendorClient
from ingest.vendors.fmp import datasets as fmp
from ingest.vendors.registry import DATASETS
from trademl.errors import ConfigError
from trademl.settings import Settings

Pair = tuple[str, str]
"""A vendor and a dataset."""

_INGESTED_AS: Mapping[Pair, str] = {
    ("alpaca", "corp_actions_dividends"): "corp_actions",
    ("alpaca", "corp_actions_splits"): "corp_actions",
}
"""Datasets of the registry that ``run_ingest`` knows by another name."""

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

FEEDS_LAKE: Mapping[str, tuple[str, ...]] = {
    "assets": ("alpaca",),
    "corp_actions_dividends": ("alpaca",),
    "corp_actions_splits": ("alpaca",),
    "crypto_bars_1d": ("binance",),
    "crypto_filters": ("binance",),
    "equities_bars_1d": ("alpaca",),
}
"""The vendors whose landed files the lake's tables are made of: only they turn a partition GREEN.
A dataset that is not here has no table yet."""

SECOND_OPINION: Mapping[str, tuple[str, ...]] = {"equities_bars_1d": ("massive", "fmp")}
"""The vendors that a QC_PROBE may lay beside the lake's."""

_KEYS: Mapping[str, tuple[str, ...]] = {
    "alpaca": ("alpaca_key_id", "alpaca_secret_key"),
    "alphavantage": ("alphavantage_key",),
    "finnhub": ("finnhub_api_key",),
    "fmp": ("fmp_key",),
    "fred": ("fred_key",),
    "massive": ("massive_api_key",),
    "sec_edgar": ("sec_user_agent",),
}


def has_keys(vendor: str, settings: Settings) -> bool:
    """Whether everything is set that a vendor asks for; some ask for nothing."""
    return all(_is_set(getattr(settings, name)) for name in _KEYS.get(vendor, ()))


def can_fill(vendor: str, dataset: str) -> bool:
    """Whether there is a connector for a dataset of the registry."""
    return connector(vendor, dataset) in DATASETS


def usable_vendors(registry: Registry, settings: Settings) -> tuple[str, ...]:
    """The vendors that may be asked: their keys are set, and a connector serves them."""
    serving = {row.vendor for row in registry.rows if can_fill(row.vendor, row.dataset)}
    return tuple(vendor for vendor in registry.vendors if vendor in serving & _keyed(settings))


def served_from(dataset: str, registry: Registry, vendors: Collection[str], today: date) -> date:
    """The first date that one of the vendors may be asked for to fill the lake.

    It is the first of all where none of them serves the dataset: then nothing is known of it.

    Args:
        dataset: The dataset.
        registry: What vendors serve.
        vendors: Whom there is to ask.
        today: The UTC date of asking.

    Raises:
        ConfigError: No vendor at all serves the dataset.
    """
    feeding = FEEDS_LAKE.get(dataset, vendors)
    asked = [
        row
        for row in registry.of_dataset(dataset)
        if row.vendor in vendors and row.vendor in feeding and can_fill(row.vendor, dataset)
    ]
    return min((row.first_date(today) for row in asked), default=date.min)


def providers_of(
    registry: Registry,
    settings: Settings,
    today: Callable[[], date],
    spent: Callable[[], Mapping[str, int]] = dict,
) -> Providers:
    """The vendors that may serve a task, best first.

    A QC_PROBE goes to a second opinion, everything else to those that the lake is made of. Where
    several may, a task that failed at one goes to the next: the first may be down for long.

    Args:
        registry: What vendors serve.
        settings: Which keys are set.
        today: The UTC date of asking.
        spent: Calls of that day by vendor: who has little left goes behind its equals. What vendors
            have filled does not count here: where several may serve a task, no table of the lake
            says whose rows it holds (ADR 17).
    """
    usable = usable_vendors(registry, settings)

    def providers(task: Task) -> Sequence[str]:
        symbols = (task.symbol,) if task.symbol else ()
        known = Known(spent=spent())
        ranked = route_window(task.dataset, task.start, task.end, symbols, today(), registry, known)
        able = [
            one.vendor
            for one in ranked
            if one.vendor in usable and can_fill(one.vendor, task.dataset)
        ]
        feeding = FEEDS_LAKE.get(task.dataset, ())
        if task.kind == "QC_PROBE":
            return [vendor for vendor in able if vendor in SECOND_OPINION.get(task.dataset, ())]
        chosen = [vendor for vendor in able if vendor in feeding or not feeding]
        turn = task.attempts % max(1, len(chosen))
        return chosen[turn:] + chosen[:turn]

    return providers


def fill(
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
        again=task.kind in ("GAP", "QC_PROBE"),
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


def connector(vendor: str, dataset: str) -> Pair:
    """What ``run_ingest`` is asked for to land a dataset of the registry."""
    return vendor, _INGESTED_AS.get((vendor, dataset), dataset)


def _keyed(settings: Settings) -> set[str]:
    vendors = {vendor for vendor, _ in DATASETS}
    return {vendor for vendor in vendors if has_keys(vendor, settings)}


def _is_set(value: SecretStr | str) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)
