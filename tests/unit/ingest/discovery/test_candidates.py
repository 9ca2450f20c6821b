from dataclasses import replace

import pytest

from ingest.discovery.candidates import Rejection, candidate_of, described, sort_rows
from tests.support.scan_rows import LONG, SHORT, candidate, pair, stock


def test_a_pair_is_known_by_its_base_and_a_stock_by_its_ticker():
    coin = candidate("BINANCE:BTCUSDT")
    assert (coin.identity, coin.asset_type, coin.asset_class) == ("crypto:BTC", "spot", "crypto")
    assert (coin.exchange, coin.ticker, coin.quote) == ("BINANCE", "BTCUSDT", "USDT")
    share = candidate("NYSE:BRK.B", base_currency="BTC")
    assert (share.identity, share.asset_type, share.ticker) == ("equity:BRK.B", "equity", "BRK.B")


def test_the_direction_is_the_scanners_intent():
    assert candidate(scanner=LONG).direction == "LONG"
    assert candidate(scanner=SHORT).direction == "SHORT"


def test_without_a_direction_there_is_no_candidate_and_never_a_long_one():
    explorer = replace(LONG, intent="DISCOVERY")
    assert candidate_of("BINANCE:BTCUSDT", pair(), explorer) == "direction_missing"
    found = sort_rows({"BINANCE:BTCUSDT": pair(), "NYSE:A": stock()}, explorer)
    assert found.candidates == []
    assert [item.reason for item in found.rejections] == ["direction_missing"] * 2


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pair(type="bond"), "type_unknown"),
        (pair(type=None), "type_unknown"),
        (pair(currency=None), "currency_missing"),
        (pair(base_currency=None), "base_currency_missing"),
        (pair(close=None), "close_missing"),
        (pair(close=0), "close_missing"),
        (pair(close=True), "close_missing"),
        (pair(close="5"), "close_missing"),
        ({**pair(), "Value.Traded": None}, "value_traded_missing"),
        ({**pair(), "Value.Traded": float("nan")}, "value_traded_missing"),
        ({}, "type_unknown"),
    ],
)
def test_a_row_that_says_too_little_is_rejected_by_name(values, reason):
    assert candidate_of("BINANCE:BTCUSDT", values, LONG) == reason


@pytest.mark.parametrize(
    "symbol",
    [
        "BTCUSDT",
        "NYSE:",
        ":A",
        "NYSE:../../x",
        "NYSE:A/B",
        "NYSE:.A",
        "NYSE:A..B",
        "NYSE:a",
        "N:A\n",
    ],
)
def test_a_symbol_that_could_leave_its_folder_is_rejected(symbol):
    assert candidate_of(symbol, pair(), LONG) == "symbol_malformed"


@pytest.mark.parametrize("symbol", ["NYSE:BRK.B", "BINANCE:BTCUSDT.P", "CME_MINI:ES1!", "NYSE:A-B"])
def test_symbols_of_the_vendors_kind_are_fine(symbol):
    assert candidate_of(symbol, pair(), LONG) != "symbol_malformed"


def test_rejections_are_counted_by_reason():
    rejections = [Rejection("A", "s", "b"), Rejection("B", "s", "a"), Rejection("C", "s", "b")]
    assert described(rejections) == "a 1, b 2"
