import pytest

from trademl.symbology import screener_exchange, split_pair


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
