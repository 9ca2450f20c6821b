import pytest

from ingest.vendors.registry import VENDORS
from trademl.symbology import from_vendor, screener_exchange, split_pair, to_vendor

HYPHENS = {
    name
    for name, vendor in VENDORS.items()
    if any(endpoint.class_mark == "-" for endpoint in vendor.endpoints)
}


def test_a_share_class_has_a_hyphen_there_and_a_dot_here():
    assert to_vendor("BRK.B", "-") == "BRK-B"
    assert from_vendor("BRK-B", "-") == "BRK.B"
    assert to_vendor("BRK-B", "-") == "BRK-B"
    assert from_vendor("BRK.B", "-") == "BRK.B"


@pytest.mark.parametrize(
    "symbol", ["AAPL", "BRK.B", "BRK-B", "BAC.PRL", "BAC-PL", "BTCUSDT", "0000320193", "7203.T", ""]
)
def test_what_is_not_a_share_class_there_or_is_another_vendor_s_stays(symbol):
    assert to_vendor(symbol, ".") == from_vendor(symbol, ".") == symbol
    if symbol not in ("BRK.B", "BRK-B"):
        assert to_vendor(symbol, "-") == from_vendor(symbol, "-") == symbol


def test_a_vendor_spells_all_its_endpoints_alike():
    assert {"alphavantage", "fmp", "sec_edgar"} == HYPHENS
    for name in HYPHENS:
        assert {endpoint.class_mark for endpoint in VENDORS[name].endpoints} == {"-"}


@pytest.mark.parametrize(
    ("symbol", "pair"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("BTCTUSD", ("BTC", "TUSD")),
        ("BTCDAI", ("BTC", "DAI")),
        ("BTCUSD", ("BTC", "USD")),
        ("ETHBTC", ("ETH", "BTC")),
        ("USDT", ("USDT", "")),
        ("BTCEUR", ("BTCEUR", "")),
    ],
)
def test_a_pair_is_its_base_and_its_quote(symbol, pair):
    assert split_pair(symbol) == pair


def test_the_screener_names_some_exchanges_otherwise():
    names = ("ARCA", "NYSEARCA", "BATS", "NYSE", "BINANCE")
    assert [screener_exchange(name) for name in names] == [
        "AMEX",
        "AMEX",
        "CBOE",
        "NYSE",
        "BINANCE",
    ]
