from hypothesis import given
from hypothesis import strategies as st

from ingest.discovery.pool import consolidate, deduplicate, normalize_quotes
from tests.support.scan_rows import LONG, SHORT, candidate

DOLLARS = frozenset({"USDT", "USDC"})


def traded(symbol, value, scanner=LONG, **changes):
    return candidate(symbol, scanner, **{"Value.Traded": value, **changes})


def symbols(candidates):
    return [item.symbol for item in candidates]


def test_dollar_like_quotes_count_as_dollars_and_others_do_not_compare():
    dollar = candidate("BINANCE:BTCUSDT")
    lira = candidate("BINANCE:BTCTRY", currency="TRY")
    kept, foreign = normalize_quotes([lira, dollar], DOLLARS)
    assert [(item.symbol, item.quote) for item in kept] == [("BINANCE:BTCUSDT", "USD")]
    assert foreign == [lira]


def test_one_symbol_of_two_scanners_is_one_candidate_that_knows_what_either_knows():
    first = candidate("NYSE:A", sector=None, ADX=20.0)
    other = candidate("NYSE:A", sector="Energy", ADX=30.0, ATR=1.5)
    (merged,) = consolidate([first, other])
    assert (merged.values["sector"], merged.values["ADX"], merged.values["ATR"]) == (
        "Energy",
        20.0,
        1.5,
    )
    assert merged.scanners == ("test_long",)


def test_a_symbol_found_long_and_short_keeps_both_sides():
    both = [candidate("NYSE:A"), candidate("NYSE:A", SHORT)]
    assert {item.direction for item in consolidate(both)} == {"LONG", "SHORT"}
    assert {item.direction for item in deduplicate(both)} == {"LONG", "SHORT"}


def test_of_one_coin_on_many_venues_the_most_traded_stays_and_the_others_are_alternatives():
    found = [
        traded("BINANCE:BTCUSDC", 2e6),
        traded("OKX:BTCUSDT", 5e6),
        traded("BINANCE:BTCUSDT", 9e6),
        traded("BINANCE:ETHUSDT", 8e6, base_currency="ETH"),
    ]
    bitcoin, ether = deduplicate(found)
    assert symbols([bitcoin, *bitcoin.alternatives]) == [
        "BINANCE:BTCUSDT",
        "OKX:BTCUSDT",
        "BINANCE:BTCUSDC",
    ]
    assert (ether.symbol, ether.alternatives) == ("BINANCE:ETHUSDT", ())


def test_spot_goes_before_a_swap_that_trades_more_and_the_swap_stays_as_a_way_to_execute():
    swap = traded("BINANCE:BTCUSDT.P", 9e9, type="swap")
    spot = traded("BINANCE:BTCUSDT", 1e6)
    (chosen,) = deduplicate([swap, spot])
    assert chosen.symbol == "BINANCE:BTCUSDT"
    assert symbols(chosen.alternatives) == ["BINANCE:BTCUSDT.P"]
    (alone,) = deduplicate([swap])
    assert alone.symbol == "BINANCE:BTCUSDT.P"


def test_a_stock_is_not_the_coin_of_the_same_name():
    link = candidate("NASDAQ:LINK")
    coin = candidate("BINANCE:LINKUSDT", base_currency="LINK")
    assert len(deduplicate([link, coin])) == 2


@st.composite
def pools(draw):
    found = []
    for number in range(draw(st.integers(0, 12))):
        base = draw(st.sampled_from(["BTC", "ETH"]))
        venue = draw(st.sampled_from(["BINANCE", "OKX"]))
        kind = draw(st.sampled_from(["spot", "swap"]))
        scanner = draw(st.sampled_from([LONG, SHORT]))
        value = float(draw(st.integers(1, 5)))
        symbol = f"{venue}:{base}USDT{number}"
        found.append(traded(symbol, value, scanner, base_currency=base, type=kind))
    return found


@given(pools(), st.randoms())
def test_deduplication_loses_nobody_and_hangs_on_no_order(found, random):
    unique = deduplicate(found)
    keys = [(item.identity, item.logic, item.direction) for item in unique]
    assert len(set(keys)) == len(keys)
    assert sorted(symbols(found)) == sorted(
        symbol for item in unique for symbol in symbols([item, *item.alternatives])
    )
    values = [item.value_traded for item in unique]
    assert values == sorted(values, reverse=True)
    for item in unique:
        peers = [other for other in item.alternatives if other.asset_type == item.asset_type]
        assert all(other.value_traded <= item.value_traded for other in peers)
        assert item.asset_type == "spot" or not [
            other for other in item.alternatives if other.asset_type == "spot"
        ]
    shuffled = list(found)
    random.shuffle(shuffled)
    assert deduplicate(shuffled) == unique
