"""What was received when: 120 real drops of 300 stocks, landed one by one, against a plain Python oracle.

Belongs to `make accept`: the market data folder must lie beside the checkout.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import page_of_records
from ingest.sync import run_ingest
from ingest.transport.client import Answer
from ingest.vendors.registry import ENDPOINTS
from tests.support.lakes import dbt, open_live, share_raw
from trademl.lake import versions as lake
from trademl.sessions import sessions_between
from trademl.settings import Settings

VINTAGES = lake.PROJECT_ROOT.parent / "shared" / "data" / "vintages_us_2015_2016"
DROPS, STOCKS, VANISHING = 120, 300, 60
WINDOW = timedelta(days=6)
"""How far back a drop's answer reaches: a bar that it lacks there was not to be had."""
LAG = timedelta(minutes=15)
NEW_YORK = ZoneInfo("America/New_York")
MOMENTS = (9, 60, 118)
"""The drops as of which is asked, right after their receipt."""

pytestmark = [
    pytest.mark.accept,
    pytest.mark.market_data,
    pytest.mark.skipif(
        not VINTAGES.is_dir(), reason="the market data folder is not beside the checkout"
    ),
]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar as one drop had it."""

    symbol: str
    day: date
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """What was received at one time.

    Attributes:
        day: The last session in it.
        received_at: When it came.
        bars: Those that are new or changed.
        listed: The symbols that it lists, of those looked at.
    """

    day: date
    received_at: datetime
    bars: tuple[Bar, ...]
    listed: frozenset[str]


@pytest.fixture(scope="module")
def drops():
    return read_drops()


@pytest.fixture(scope="module")
def landed(drops, tmp_path_factory):
    """All drops landed, each at its receipt."""
    data = tmp_path_factory.mktemp("vintages") / "data"
    symbols = tuple(sorted({symbol for drop in drops for symbol in drop.listed}))
    assert len(symbols) == STOCKS
    seen: set[str] = set()
    for drop in drops:
        land_bars(data, drop, symbols)
        seen |= drop.listed
        land_assets(data, drop, seen)
    run_ingest(
        "exchange_calendars",
        "sessions",
        data_dir=data,
        clock=drops[-1].received_at,
        settings=Settings(),
    )
    return data


@pytest.mark.parametrize("number", MOMENTS)
def test_bars_and_listings_as_of_a_drop_are_those_of_the_oracle(drops, landed, number, tmp_path):
    as_of = drops[number].received_at + timedelta(seconds=1)
    data = share_raw(landed, tmp_path / "data")
    done = dbt(data, as_of, "--exclude-resource-type", "test", selected="+equities_bars_asof")
    assert done.returncode == 0, done.stdout[-2000:]
    with open_live(data) as connection:
        bars = connection.execute(
            "select symbol, session_date, open, high, low, close, volume, known_at, reject_reason "
            "from curated.equities_bars_asof"
        ).fetchall()
        listings = connection.execute(
            "select symbol, asset_status from reference.symbols where asset_class = 'equity'"
        ).fetchall()
    expected = known_bars(drops, as_of)
    # A fall that is taken back is judged by the bar after it, and known with it.
    toxic = {(row[0], row[1]) for row in bars if row[-1] == "TOXIC_RETURN"}
    assert len(toxic) < 20
    found = {(row[0], row[1]): (*row[2:7], row[7]) for row in bars}
    assert found.keys() == expected.keys()
    assert {key for key in found if key not in toxic and found[key] != expected[key]} == set()
    assert {key for key in toxic if found[key][:5] != expected[key][:5]} == set()
    assert dict(listings) == known_listings(drops, as_of)


def test_the_drops_hold_late_bars_corrections_and_names_that_vanish(drops):
    """Else the comparison would prove little."""
    last = drops[-1].received_at
    everything = known_bars(drops, last)
    late = sum(values[-1] in {drop.received_at for drop in drops} for values in everything.values())
    statuses = list(known_listings(drops, last).values())
    assert late > 100
    assert statuses.count("inactive") >= VANISHING


def known_bars(drops: list[Drop], as_of: datetime) -> dict[tuple[str, date], tuple[object, ...]]:
    """Per symbol and day the values in force at a time, and since when they were known."""
    known: dict[tuple[str, date], tuple[object, ...]] = {}
    for number, drop in enumerate(drops):
        for bar in drop.bars:
            key = (bar.symbol, bar.day)
            since = drop.received_at
            if key not in known:
                published = closing(bar.day) + LAG
                lacked = any(
                    published <= earlier.received_at
                    and earlier.day - WINDOW <= bar.day <= earlier.day
                    for earlier in drops[:number]
                )
                since = drop.received_at if lacked else published
            elif known[key][:5] == bar.values:
                continue
            if since <= as_of:
                known[key] = (*bar.values, since)
    return known


def known_listings(drops: list[Drop], as_of: datetime) -> dict[str, str | None]:
    """Of each symbol that was ever listed whether the newest drop by a time lists it."""
    received = [drop for drop in drops if drop.received_at <= as_of]
    seen = {symbol for drop in received for symbol in drop.listed}
    return {symbol: "active" if symbol in received[-1].listed else "inactive" for symbol in seen}


_CLOSINGS: dict[date, datetime] = {}


def closing(day: date) -> datetime:
    """The close of a session; of any other day four in the afternoon in New York."""
    if not _CLOSINGS:
        sessions = sessions_between(date(2015, 3, 1), date(2015, 12, 31))
        _CLOSINGS.update({session.day: session.close_at for session in sessions})
    usual = datetime.combine(day, time(16), NEW_YORK).astimezone(UTC)
    return _CLOSINGS.get(day, usual)


def read_drops() -> list[Drop]:
    """The first drops, of some stocks that stay and some that vanish."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for name in ("drops", "equities_daily_as_received", "listing_intervals"):
        connection.execute(f"create view {name} as from '{VINTAGES / name}.parquet'")
    received = connection.execute(
        f"select drop_date, received_at from drops order by drop_date limit {DROPS}"
    ).fetchall()
    chosen = connection.execute(
        f"""
        with spans as (
            select symbol, max(coalesce(last_drop, 'infinity')) < $last as vanishes
            from listing_intervals group by symbol having min(first_drop) <= $first
        )
        select symbol from spans
        semi join equities_daily_as_received as bars using (symbol)
        qualify row_number() over (partition by vanishes order by symbol)
            <= case when vanishes then {VANISHING} else {STOCKS - VANISHING} end
        """,
        {"first": received[0][0], "last": received[-1][0]},
    ).fetchall()
    symbols = [symbol for (symbol,) in chosen]
    bars: dict[date, list[Bar]] = {}
    for symbol, day, drop_day, *values in connection.execute(
        """select symbol, date, drop_date, open, high, low, close, volume::double
        from equities_daily_as_received
        where list_contains($symbols, symbol) and drop_date <= $last order by symbol, date""",
        {"symbols": symbols, "last": received[-1][0]},
    ).fetchall():
        bars.setdefault(drop_day, []).append(Bar(symbol, day, tuple(values)))
    intervals = connection.execute(
        """select symbol, first_drop, coalesce(last_drop, date '9999-12-31') from listing_intervals
        where list_contains($symbols, symbol)""",
        {"symbols": symbols},
    ).fetchall()
    return [
        Drop(
            day,
            received_at.astimezone(UTC),
            tuple(bars.get(day, ())),
            frozenset(symbol for symbol, first, last in intervals if first <= day <= last),
        )
        for day, received_at in received
    ]


def land_bars(data: Path, drop: Drop, symbols: tuple[str, ...]) -> None:
    records = [
        dict(
            zip("ohlcv", bar.values, strict=True),
            symbol=bar.symbol,
            t=datetime.combine(bar.day, time(), NEW_YORK).astimezone(UTC),
            n=1,
            vw=bar.values[3],
        )
        for bar in drop.bars
    ]
    asked = Fetch(
        ENDPOINTS["alpaca/bars_1d"],
        "equities_bars_1d",
        "chain",
        drop.day - WINDOW,
        drop.day,
        symbols,
    )
    land_page(data, asked, records, drop.received_at)


def land_assets(data: Path, drop: Drop, seen: set[str]) -> None:
    records = [
        {
            "id": symbol,
            "class": "us_equity",
            "exchange": "NYSE",
            "symbol": symbol,
            "name": symbol,
            "status": "active" if symbol in drop.listed else "inactive",
            "tradable": True,
            "marginable": True,
            "shortable": True,
            "easy_to_borrow": True,
            "fractionable": True,
        }
        for symbol in sorted(seen)
    ]
    asked = Fetch(ENDPOINTS["alpaca/assets"], "assets", "chain")
    land_page(data, asked, records, drop.received_at)


def land_page(data: Path, asked: Fetch, records: list[dict], clock: datetime) -> None:
    answer = Answer([], "0" * 64, "uri", "hash", {})
    land(data, asked, [page_of_records(answer, asked.endpoint, records)], clock)
