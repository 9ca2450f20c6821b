"""Odd rows cost themselves only: the lake publishes, and whatever they do not touch is as it was."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from ingest.landing import bookmarks
from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import page_of_records
from ingest.transport.client import Answer
from ingest.vendors.registry import ENDPOINTS
from simulator.market.clocks import market_clock
from tests.support.cache import copied
from tests.support.lakes import (
    clean_symbols,
    differing_cells,
    fetch,
    open_newest,
    publish,
    two_nights,
    two_nights_published,
    year_market,
)

DAY = date(2021, 12, 29)
"""A session of the market's last week."""
NEW_YORK_MIDNIGHT = time(5)
TABLES = (
    *("curated.equities_ohlcv_adj", "curated.crypto_ohlcv", "features.feat_equities_xs"),
    *("features.feat_selection", "labels.label_horizon", "reference.universe"),
    *("reference.corp_actions", "matrices.returns_matrix"),
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Two published nights, and a third landing of odd rows alone; and whose symbol they are of."""
    data = copied(two_nights_published(), tmp_path_factory.mktemp("odd") / "data")
    symbol = clean_symbols(year_market())[0]
    clock = market_clock(year_market()) + timedelta(hours=1)
    for path, records in odd_rows(symbol).items():
        land_records(data, path, records, clock)
    publish(data, clock)
    return data, symbol


def land_records(data, path, records, clock):
    endpoint = ENDPOINTS[path]
    names = {"alpaca/bars_1d": "equities_bars_1d", "binance/klines_1d": "crypto_bars_1d"}
    is_bars = path in names
    symbols = tuple(sorted({row["symbol"] for row in records})) if is_bars else ()
    window = (DAY, DAY) if is_bars else (None, None)
    asked = Fetch(endpoint, names.get(path, endpoint.name), "chain", *window, symbols)
    answer = Answer([], "0" * 64, "uri", "hash", {})
    land(data, asked, [page_of_records(answer, endpoint, records)], clock)


def odd_rows(symbol):
    """Rows that no market has, of a known company and of names that nobody knows."""
    return {
        "alpaca/bars_1d": [
            bar(symbol, DAY, v=1e308),
            bar("ODDA", DAY, c=1e-300, l=1e-300),
            bar("ODDB", date(1, 1, 1)),
            bar("ODDB", date(2100, 1, 4)),
            bar("ODDC", DAY),
            bar("ODDC", DAY, c=10.5),
            bar("ODDD", DAY, c=None),
            bar("ODDE", DAY, v=None, n=None),
            bar("ODDF", DAY, h=float("inf"), o=float("nan")),
        ],
        "binance/klines_1d": [
            kline("ODDUSDT", DAY, volume="1e308"),
            kline("ODDUSDT", date(1, 1, 1)),
            kline("ODD2USDT", DAY, close="cheap"),
            kline("ODD3USDT", DAY),
            kline("ODD3USDT", DAY, close="10.5"),
        ],
        "binance/exchange_info": [
            pair("ODD3USDT", tick_size="much"),
            pair("ODD3USDT", tick_size="0.01"),
        ],
        "alpaca/corporate_actions": [
            action("forward_splits", "1", symbol="ODDC", old_rate=1e-300, new_rate=1e300),
            action("cash_dividends", "2", symbol="ODDC", rate=1e308, special=False),
            action("cash_dividends", "2", symbol="ODDC", rate=0.1, special=False),
            action("forward_splits", "3", symbol="ODDC", ex_date=date(1, 1, 1)),
        ],
        "alpaca/assets": [
            asset("1", "ODDC", "active"),
            asset("1", "ODDC", "inactive"),
            asset("2", "", "active"),
        ],
    }


def bar(symbol, day, **values):
    opens = datetime.combine(day, NEW_YORK_MIDNIGHT, UTC)
    usual = {"o": 10.0, "h": 11.0, "l": 9.0, "c": 10.0, "v": 100.0, "n": 1, "vw": 10.0}
    return {"symbol": symbol, "t": opens, **usual, **values}


def kline(symbol, day, **values):
    opens = (day - date(1970, 1, 1)).days * 86_400_000
    usual = dict.fromkeys(("open", "high", "low", "close"), "10.0") | {"high": "11.0"}
    amounts = dict.fromkeys(("volume", "quote_volume"), "100.0")
    taken = dict.fromkeys(("taker_buy_base_volume", "taker_buy_quote_volume"), "1.0")
    times = {"open_time": opens, "close_time": opens + 86_399_999, "trades": 1}
    return {"symbol": symbol, **times, **usual, **amounts, **taken, **values}


def pair(symbol, **values):
    return {
        "symbol": symbol,
        "status": "TRADING",
        "base_asset": "ODD3",
        "quote_asset": "USDT",
    } | values


def action(kind, identity, **values):
    return {"action_type": kind, "id": identity, "process_date": DAY, "ex_date": DAY} | values


def asset(identity, symbol, status):
    fixed = {"class": "us_equity", "exchange": "NYSE", "tradable": True}
    return {"id": identity, "symbol": symbol, "status": status} | fixed


def test_odd_rows_are_in_quarantine_with_their_reason(odd):
    data, symbol = odd
    query = (
        "select symbol, session_date::varchar, reason from quality.quarantine_bars "
        "where verdict = 'rejected' and (symbol like 'ODD%' or symbol = ?) order by all"
    )
    day = DAY.isoformat()
    with open_newest(data) as lake:
        found = lake.execute(query, [symbol]).fetchall()
    assert found == sorted(
        [
            (symbol, day, "VOLUME_IMPLAUSIBLE"),
            ("ODDA", day, "PRICE_IMPLAUSIBLE"),
            ("ODDB", "0001-01-01", "DATE_TOO_EARLY"),
            ("ODDB", "2100-01-04", "DATE_IN_FUTURE"),
            ("ODDC", day, "CONFLICTING_ROWS"),
            ("ODDD", day, "PRICE_MISSING"),
            ("ODDE", day, "VOLUME_MISSING"),
            ("ODDF", day, "PRICE_IMPLAUSIBLE"),
            ("ODDUSDT", "0001-01-01", "DATE_TOO_EARLY"),
            ("ODDUSDT", day, "VOLUME_IMPLAUSIBLE"),
            ("ODD2USDT", day, "PRICE_MISSING"),
            ("ODD3USDT", day, "CONFLICTING_ROWS"),
        ]
    )


def test_no_odd_row_is_in_a_table_behind_and_none_is_green(odd):
    data, symbol = odd
    with open_newest(data) as lake:
        for table in ("curated.equities_ohlcv_adj", "matrices.returns_matrix"):
            of_odd = f"select count(*) from {table} where symbol like 'ODD%'"
            assert lake.execute(of_odd).fetchone() == (0,), table
        status = lake.execute(
            "select distinct status, qc_code from quality.partition_status where symbol = ? and dt = ?",
            ["ODDC", DAY],
        ).fetchall()
        at_day = (
            "select count(*) from curated.equities_ohlcv_adj where symbol = ? and session_date = ?"
        )
        assert lake.execute(at_day, [symbol, DAY]).fetchone() == (0,)
    assert status == [("RED", "CONFLICTING_ROWS")]


@pytest.mark.parametrize("table", TABLES)
def test_every_other_row_is_as_it_was(odd, table):
    """Cell for cell, but for the cross-sections that the company with an odd bar left that day."""
    data, symbol = odd
    columns = "* exclude (ret_rel)" if table == "labels.label_horizon" else "*"
    until = DAY if table == "features.feat_equities_xs" else date.max
    day = "ex_date" if table == "reference.corp_actions" else "session_date"
    query = (
        f"select {columns} from {table} where symbol <> '{symbol}' and symbol not like 'ODD%' "
        f"and {day} < '{until}' order by all"
    )
    with open_newest(data) as lake, open_newest(two_nights_published()) as before:
        one, other = fetch(lake, query), fetch(before, query)
    assert one.num_rows
    assert differing_cells(one, other) == {}


def test_the_landing_after_it_goes_on(odd):
    """Bars of the years 1 and 2100 say nothing of how far the bookmarks are."""
    data, _ = odd
    newest = bookmarks.newest_event(bookmarks.landed(data, ENDPOINTS["alpaca/bars_1d"]))
    earlier = bookmarks.newest_event(bookmarks.landed(two_nights(), ENDPOINTS["alpaca/bars_1d"]))
    assert newest == earlier
