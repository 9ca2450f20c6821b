"""Rows that no market has, landed as a vendor's answer."""

import shutil
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import page_of_records
from ingest.transport.client import Answer
from ingest.vendors.registry import ENDPOINTS
from simulator.market.clocks import market_clock
from tests.support.cache import made_once
from tests.support.lakes import clean_symbols, publish, two_nights_published, year_market

DAY = date(2021, 12, 29)
"""A session of the market's last week."""
NEW_YORK_MIDNIGHT = time(5)


def odd_night() -> Path:
    """Two published nights, and a third, published too, that landed odd rows alone."""
    return made_once("odd-night", _odd_night)


def _odd_night(data: Path) -> None:
    shutil.copytree(two_nights_published(), data, symlinks=True, dirs_exist_ok=True)
    for path, records in odd_rows(odd_symbol()).items():
        land_records(data, path, records, odd_clock())
    publish(data, odd_clock())


def odd_clock() -> datetime:
    """When the odd rows were landed."""
    return market_clock(year_market()) + timedelta(hours=1)


def odd_symbol() -> str:
    """The known company that an odd row is of."""
    return clean_symbols(year_market())[0]


def land_records(data, path, records, clock):
    """Lands records as the whole answer of an endpoint; the path of the file."""
    endpoint = ENDPOINTS[path]
    names = {"alpaca/bars_1d": "equities_bars_1d", "binance/klines_1d": "crypto_bars_1d"}
    is_bars = path in names
    symbols = tuple(sorted({row["symbol"] for row in records})) if is_bars else ()
    window = (DAY, DAY) if is_bars else (None, None)
    asked = Fetch(endpoint, names.get(path, endpoint.name), "chain", *window, symbols)
    answer = Answer([], "0" * 64, "uri", "hash", {})
    return land(data, asked, [page_of_records(answer, endpoint, records)], clock).path


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
