from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ingest.discovery.candidates import Instrument
from ingest.discovery.instruments import (
    equip,
    is_complete,
    read_filters,
    read_tick_rules,
    require_coverage,
)
from ingest.landing.writer import Fetch, land
from ingest.payloads.decode import Page, table_of
from ingest.vendors.registry import ENDPOINTS
from tests.support.scan_rows import candidate
from trademl.errors import DataError, GateFailed

NOW = datetime(2020, 3, 21, 13, tzinfo=UTC)
INFO = ENDPOINTS["binance/exchange_info"]


def land_filters(data, clock, **tick_sizes):
    rows = [
        {
            "symbol": symbol,
            "status": "TRADING",
            "base_asset": symbol,
            "quote_asset": "USDT",
            "tick_size": tick,
            "step_size": "0.00001000",
        }
        for symbol, tick in tick_sizes.items()
    ]
    page = Page(table_of(INFO, rows), "0" * 64, "https://host/info", "hash")
    land(data, Fetch(INFO, "crypto_filters", "hash"), [page], clock)


def tick_of(close, clock=NOW, symbol="NYSE:A"):
    (equipped,) = equip([candidate(symbol, close=close)], read_tick_rules(), {}, clock)
    return equipped.instrument


@pytest.mark.parametrize(
    ("day", "close", "tick", "precision"),
    [
        ("2000-06-01", 41.27, 0.0625, 4),
        ("2001-04-09", 41.27, 0.01, 2),
        ("2005-08-28", 0.5, 0.01, 2),
        ("2005-08-30", 0.5, 0.0001, 4),
        ("2020-03-20", 0.9999, 0.0001, 4),
        ("2020-03-20", 1.0, 0.01, 2),
        ("2020-03-20", 4000.0, 0.01, 2),
    ],
)
def test_ticks_of_us_equities_are_the_rule_of_the_day_and_price(day, close, tick, precision):
    found = tick_of(close, datetime.fromisoformat(f"{day}T20:00:00+00:00"))
    assert (found.tick_size, found.lot_size, found.price_precision) == (tick, 1.0, precision)
    assert found.source == "tick_size_regime"


def test_a_rule_begins_in_new_york_and_not_in_utc():
    assert tick_of(10.0, datetime(2001, 4, 9, 3, tzinfo=UTC)).tick_size == 0.0625
    assert tick_of(10.0, datetime(2001, 4, 9, 4, tzinfo=UTC)).tick_size == 0.01


def test_before_the_first_rule_and_beyond_the_exchanges_nothing_is_known():
    assert tick_of(41.27, datetime(1990, 1, 2, tzinfo=UTC)) == Instrument()
    assert tick_of(41.27, symbol="OTC:A") == Instrument()


def test_ticks_of_pairs_are_the_filters_last_landed_by_the_clock(tmp_path):
    land_filters(tmp_path, NOW.replace(day=19), BTCUSDT="0.01000000")
    land_filters(tmp_path, NOW.replace(day=20), BTCUSDT="0.10000000", ETHUSDT="5.00")
    land_filters(tmp_path, NOW.replace(day=22), BTCUSDT="9.00000000")
    filters = read_filters(tmp_path, NOW)
    (bitcoin,) = equip([candidate("BINANCE:BTCUSDT")], (), filters, NOW)
    assert bitcoin.instrument.tick_size == 0.1
    assert (bitcoin.instrument.lot_size, bitcoin.instrument.price_precision) == (0.00001, 1)
    assert bitcoin.instrument.source.startswith("binance/exchange_info/20200320T")
    assert filters["ETHUSDT"].price_precision == 0


def test_nothing_is_made_up_for_other_venues_swaps_and_pairs_without_a_filter(tmp_path):
    land_filters(tmp_path, NOW, BTCUSDT="0.01", ETHUSDT=None, XRPUSDT="0.00000000", ADAUSDT="?")
    filters = read_filters(tmp_path, NOW)
    found = equip(
        [
            candidate("OKX:BTCUSDT"),
            candidate("BINANCE:BTCUSDT", type="swap"),
            candidate("BINANCE:SOLUSDT"),
            candidate("BINANCE:ETHUSDT"),
            candidate("BINANCE:XRPUSDT"),
            candidate("BINANCE:ADAUSDT"),
        ],
        read_tick_rules(),
        filters,
        NOW,
    )
    assert [item.instrument.tick_size for item in found] == [None] * 6
    assert [item.instrument.price_precision for item in found] == [None] * 6
    assert not any(is_complete(item) for item in found)


def test_without_landed_filters_there_are_none(tmp_path):
    assert read_filters(tmp_path, NOW) == {}


def known(number, **lacking):
    instrument = Instrument(**{"tick_size": 0.01, "lot_size": 1.0, "price_precision": 2, **lacking})
    return replace(candidate(f"NYSE:A{number}"), instrument=instrument)


@pytest.mark.parametrize("name", ["tick_size", "lot_size", "price_precision"])
def test_the_guardrail_holds_for_each_of_the_three(name):
    good = [known(number) for number in range(19)]
    shares = require_coverage([*good, known(19, **{name: None})], 0.95)
    assert shares[name] == 0.95
    with pytest.raises(GateFailed, match=rf"METADATA_COVERAGE: {name} is known of 94.7% of 19"):
        require_coverage([*good[:18], known(19, **{name: None})], 0.95)


def test_the_guardrail_names_whom_it_misses():
    with pytest.raises(GateFailed, match=r"missing: NYSE:A1, NYSE:A2 \(run"):
        require_coverage([known(0), known(1, tick_size=None), known(2, tick_size=None)], 0.95)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        ("asset_class,valid_from\nequity,soon\n", "cannot be read"),
        ("asset_class,valid_from\n", "has no rule for equities"),
    ],
)
def test_a_broken_seed_is_named(tmp_path, content, says):
    path = tmp_path / "tick_size_regime.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=f"tick_size_regime.csv {says}"):
        read_tick_rules(path)
