"""The screener that the replay plays: conditions, and figures computed from daily bars."""

from datetime import UTC, date, datetime

import pytest

from simulator.replay.book import open_book
from simulator.replay.vendors.tradingview_filters import Condition, UnknownOperation, holds
from simulator.replay.vendors.tradingview_rows import COLUMNS, crypto_rows, stock_rows
from tests.support.markets import (
    LAST,
    MORNING_AFTER,
    equity_rows,
    listing,
    small_market,
    write,
)
from tests.support.markets import (
    crypto_rows as coin_bars,
)

ROW = {
    "close": 10.0,
    "open": 8.0,
    "type": "stock",
    "typespecs": ["common"],
    "ADX": None,
    "ok": True,
}


@pytest.mark.parametrize(
    ("left", "operation", "right", "expected"),
    [
        ("close", "greater", 9, True),
        ("close", "greater", 10, False),
        ("close", "egreater", 10, True),
        ("close", "less", 11, True),
        ("close", "eless", 9, False),
        ("close", "greater", "open", True),
        ("open", "greater", "close", False),
        ("type", "equal", "stock", True),
        ("type", "nequal", "stock", False),
        ("ok", "equal", True, True),
        ("close", "in_range", [10, 12], True),
        ("close", "not_in_range", [10, 12], False),
        ("type", "in_range", ["dr", "stock"], True),
        ("type", "in_range", ["dr"], False),
        ("type", "match", "STO", True),
        ("type", "nmatch", "STO", False),
        ("typespecs", "has", ["common", "etf"], True),
        ("typespecs", "has_none_of", ["etf"], True),
        ("close", "above%", ["open", 1.2], True),
        ("close", "above%", ["open", 1.3], False),
        ("open", "below%", ["close", 0.9], True),
        ("ADX", "empty", None, True),
        ("ADX", "nempty", None, False),
        ("ADX", "greater", 0, False),
        ("ADX", "less", 0, False),
        ("close", "greater", "ADX", False),
        ("close", "above%", ["ADX", 1.2], False),
    ],
)
def test_conditions(left, operation, right, expected):
    assert holds(Condition(left, operation, right), ROW) is expected


def test_an_operation_that_is_not_played_is_named():
    with pytest.raises(UnknownOperation, match="crosses"):
        holds(Condition("close", "crosses", 1), ROW)


@pytest.fixture
def market(tmp_path):
    return small_market(tmp_path / "market")


def row_of(rows, symbol):
    (found,) = [row for row in rows if row["s"] == symbol]
    return found


def bars_of(rows, symbol):
    return [row for row in rows if row["symbol"] == symbol]


def test_a_stock_row_is_the_last_session_and_its_listing(market):
    row = row_of(stock_rows(open_book(market, MORNING_AFTER)), "NYSE:BRK.B")
    *_, before, last = bars_of(equity_rows(), "BRK.B")
    assert (row["close"], row["volume"], row["sector"]) == (last["close"], last["volume"], "Energy")
    assert row["Value.Traded"] == pytest.approx(last["close"] * last["volume"])
    assert row["Volatility.D"] == pytest.approx((last["high"] / last["low"] - 1) * 100)
    assert row["change"] == pytest.approx((last["close"] / before["close"] - 1) * 100)
    assert (row["type"], row["currency"], row["Recommend.All"], row["Perf.6M"]) == (
        "stock",
        "USD",
        None,
        None,
    )
    assert set(row) == COLUMNS | {"s"}


@pytest.mark.parametrize(("symbol", "ratio"), [("AAA", 1.5), ("BBB", 0.2)])
def test_performance_is_counted_in_shares_of_today(market, symbol, ratio):
    """Both split on the way: the earlier close is divided by the ratio."""
    row = row_of(stock_rows(open_book(market, MORNING_AFTER)), f"NYSE:{symbol}")
    bars = bars_of(equity_rows(), symbol)
    (week_ago,) = [bar for bar in bars if bar["date"] == date(2020, 3, 13)]
    assert row["Perf.W"] == pytest.approx((bars[-1]["close"] / week_ago["close"] - 1) * 100)
    split = date(2020, 3, 5) if symbol == "AAA" else date(2020, 3, 6)
    highs = [bar["high"] / (ratio if bar["date"] < split else 1.0) for bar in bars]
    assert row["price_52_week_high"] == pytest.approx(max(highs))


def test_the_clock_bounds_what_is_told(market):
    friday_morning = datetime(2020, 3, 20, 13, tzinfo=UTC)
    row = row_of(stock_rows(open_book(market, friday_morning)), "NYSE:AAA")
    (thursday,) = [bar for bar in bars_of(equity_rows(), "AAA") if bar["date"] == date(2020, 3, 19)]
    assert row["close"] == thursday["close"]
    before = row_of(stock_rows(open_book(market, datetime(2020, 3, 4, 13, tzinfo=UTC))), "NYSE:AAA")
    assert before["price_52_week_high"] == pytest.approx(
        max(b["high"] for b in bars_of(equity_rows(), "AAA") if b["date"] < date(2020, 3, 4))
    )


def test_names_that_trade_no_more_are_absent(market):
    gone = date(2020, 3, 18)
    kept = [bar for bar in equity_rows() if bar["symbol"] != "BBB" or bar["date"] <= gone]
    write(market, "equities_daily", kept)
    listings = [listing("AAA"), listing("BBB", gone), listing("BRK.B")]
    write(market, "listings", listings)
    write(
        market,
        "renames",
        [{"old_symbol": "AAA", "new_symbol": "AAB", "effective_date": LAST}],
    )
    assert [row["s"] for row in stock_rows(open_book(market, MORNING_AFTER))] == ["NYSE:BRK.B"]


def test_a_pair_row_is_the_last_full_day_whatever_has_begun(market):
    row = row_of(crypto_rows(open_book(market, MORNING_AFTER)), "BINANCE:ETHUSDT")
    (friday,) = [bar for bar in bars_of(coin_bars(), "ETHUSDT") if bar["date"] == LAST]
    assert (row["close"], row["Value.Traded"]) == (friday["close"], friday["quote_volume"])
    assert row["volume"] == pytest.approx(friday["quote_volume"] / friday["close"])
    assert (row["type"], row["base_currency"], row["currency"]) == ("spot", "ETH", "USDT")


def test_a_market_without_bars_has_no_rows(tmp_path):
    (tmp_path / "empty").mkdir()
    book = open_book(tmp_path / "empty", MORNING_AFTER)
    assert (stock_rows(book), crypto_rows(book)) == ([], [])
