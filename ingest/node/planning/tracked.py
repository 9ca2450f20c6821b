"""The datasets that the node keeps up to date: one row each, and who names what is asked.

Not in the table: dividends (Alpaca gives them with the splits), bars of second opinions (a QC_PROBE
asks for those), TradingView's ratings (only a check, asked by hand), paid plans.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from ingest.node.context import Node
from ingest.vendors.alpaca import client as alpaca
from ingest.vendors.alpaca.datasets import listed_equities
from ingest.vendors.alphavantage import datasets as alphavantage
from ingest.vendors.binance import client as binance
from ingest.vendors.binance.datasets import listed_crypto
from ingest.vendors.dataset import newest_rows
from ingest.vendors.sec_edgar import schema
from trademl.sessions import last_completed
from trademl.symbology import to_vendor

OVERLAP_DAYS = 7
"""Days asked again before the last session: a correction or an outage is seen for a week."""
MINUTE_OVERLAP_DAYS = 3
"""The same for minute bars, of which a session has hundreds; over a weekend it is one session."""

_NEW_YORK, _CHICAGO, _UTC = (
    ZoneInfo(name) for name in ("America/New_York", "America/Chicago", "UTC")
)


@dataclass(frozen=True, slots=True)
class TrackedDataset:
    """A dataset that is kept up to date.

    Attributes:
        dataset: Its name in the registry.
        endpoints: Where its vendors land it; the first one's vendor is the usual one.
        last_expected: The last session whose data are published at a clock; of what changes
            slowly, the day from which on a landing is young enough.
        zone: The time zone of its sessions.
        needs: The endpoint that names its symbols, none where nothing does.
        is_bars: Whether its rows say which session they are of; else a landing counts as of the
            session that was the last one then.
        names: What it is asked for: one task a name, or one for all of them where it is bars; none
            where it is asked as a whole. Without names nothing is asked.
        overlap: Days of bars asked again before the last session.
        listed: The symbols that bars are asked of where there is no stage, of the newest landed
            listing; none where nothing is asked then.
    """

    dataset: str
    endpoints: tuple[str, ...]
    last_expected: Callable[[datetime], date]
    zone: ZoneInfo = _NEW_YORK
    needs: str | None = None
    is_bars: bool = False
    names: Callable[[Node], Sequence[str]] | None = None
    overlap: int = OVERLAP_DAYS
    listed: Callable[[Path], list[str]] | None = None


def _last_session(clock: datetime) -> date:
    return last_completed(clock, alpaca.PUBLICATION_LAG)


def _last_minutes(clock: datetime) -> date:
    """A session's minutes go on until the evening."""
    return last_completed(clock, alpaca.MINUTE_LAG)


def _settled_session(clock: datetime) -> date:
    """Lists as of a session that Alpha Vantage gives are final during the evening."""
    return last_completed(clock, alphavantage.SETTLED)


def _chicago_day(clock: datetime) -> date:
    return clock.astimezone(_CHICAGO).date()


def _every(days: int) -> Callable[[datetime], date]:
    """The first day of the period of so many days that a clock is in."""
    return lambda clock: date.fromordinal(clock.date().toordinal() // days * days)


def _universe(node: Node) -> Sequence[str]:
    return node.universe() or ()


def _series(node: Node) -> Sequence[str]:
    return node.settings.macro_series


def _companies(node: Node) -> Sequence[str]:
    """The CIKs of the universe, as far as the SEC lists its names now."""
    universe = _universe(node)
    if not universe:
        return ()
    rows = newest_rows(node.data_dir, schema.TICKERS, "company_tickers", ["ticker", "cik"])
    known = {row["ticker"]: row["cik"] for row in rows}
    ciks = (known.get(to_vendor("sec_edgar", symbol)) for symbol in universe)
    return tuple(dict.fromkeys(cik for cik in ciks if cik is not None))


TRACKED = (
    TrackedDataset("assets", ("alpaca/assets",), _last_session),
    TrackedDataset("crypto_filters", ("binance/exchange_info",), binance.last_full_day),
    TrackedDataset("company_tickers", ("sec_edgar/company_tickers",), _every(7)),
    TrackedDataset("calendar", ("alpaca/calendar",), _every(7)),
    TrackedDataset("corp_actions_splits", ("alpaca/corporate_actions",), _last_session),
    TrackedDataset(
        "equities_bars_1d",
        ("alpaca/bars_1d",),
        _last_session,
        needs="alpaca/assets",
        is_bars=True,
        listed=listed_equities,
    ),
    TrackedDataset(
        "crypto_bars_1d",
        ("binance/klines_1d",),
        binance.last_full_day,
        zone=_UTC,
        needs="binance/exchange_info",
        is_bars=True,
        listed=listed_crypto,
    ),
    TrackedDataset(
        "options_chain",
        ("alpaca/option_snapshots", "finnhub/option_chain", "massive/option_chain"),
        _last_session,
        names=_universe,
    ),
    TrackedDataset(
        "equities_bars_1m",
        ("alpaca/bars_1m", "massive/aggs_1m"),
        _last_minutes,
        is_bars=True,
        names=_universe,
        overlap=MINUTE_OVERLAP_DAYS,
    ),
    TrackedDataset(
        "delistings",
        (
            "sec_edgar/form_25",
            "massive/delisted_tickers",
            "fmp/delisted_companies",
            "alphavantage/listing_status_delisted",
        ),
        _last_session,
    ),
    TrackedDataset(
        "universe_pit",
        ("alphavantage/listing_status_active", "massive/tickers"),
        _settled_session,
    ),
    TrackedDataset(
        "earnings_calendar", ("finnhub/earnings_calendar", "fmp/earnings"), _last_session
    ),
    TrackedDataset("macro_vintages", ("fred/observations",), _chicago_day, names=_series),
    TrackedDataset("macro_vintage_dates", ("fred/vintage_dates",), _every(7), names=_series),
    TrackedDataset(
        "filings_index",
        ("sec_edgar/submissions",),
        _last_session,
        needs="sec_edgar/company_tickers",
        names=_companies,
    ),
    TrackedDataset(
        "fundamentals_facts",
        ("sec_edgar/companyfacts",),
        _every(7),
        needs="sec_edgar/company_tickers",
        names=_companies,
    ),
    # Three calls a name of 250 a day; then one a name of 25 a day.
    TrackedDataset(
        "fundamentals_statements", ("fmp/cash_flow_statement",), _every(7), names=_universe
    ),
    TrackedDataset("earnings_history", ("alphavantage/earnings",), _every(28), names=_universe),
)
"""What is kept up to date, in the order in which it is asked: listings before what they name."""
