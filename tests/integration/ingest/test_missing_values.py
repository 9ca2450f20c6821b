"""A market directory with rows that lack a value: they are served and landed as what they are."""

import pytest

from simulator.replay.server import ReplayServer
from tests.support import replays, vendors
from tests.support.lakes import edit
from tests.support.markets import (
    FIRST,
    LAST,
    MORNING_AFTER,
    SYMBOLS,
    landed_rows,
    small_market,
    trading_days,
)
from tests.support.replays import run

pytestmark = pytest.mark.usefixtures("no_waits")


@pytest.fixture
def market(tmp_path):
    """Of the first name the first bar has no close and the second no volume."""
    folder = small_market(tmp_path / "market")
    for table, volume in (("equities_daily", "volume"), ("crypto_daily", "quote_volume")):
        edit(
            folder,
            table,
            f"""select * exclude (place) replace (
                case when place <> 1 then close end as close,
                case when place <> 2 then {volume} end as {volume}
            ) from (select *, row_number() over (order by symbol, date) as place from this)""",
        )
    return folder


@pytest.mark.parametrize(
    ("vendor", "dataset", "columns"),
    [
        ("alpaca", "equities_bars_1d", "symbol, t, c, v, n"),
        ("binance", "crypto_bars_1d", "symbol, open_time, close, quote_volume, volume"),
    ],
)
def test_a_bar_without_a_value_lands_with_all_others(market, tmp_path, vendor, dataset, columns):
    symbols = ["AAA", "BRK.B"] if vendor == "alpaca" else ["BTCUSDT"]
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, tmp_path / "data", vendor, dataset, symbols=symbols)
    endpoint = {"alpaca": "alpaca/bars_1d", "binance": "binance/klines_1d"}[vendor]
    found = landed_rows(tmp_path / "data", endpoint, f"select {columns} from landed order by 1, 2")
    assert len(found) == report.rows > 10
    (_, _, close, volume, _), second, *others = found
    assert (close, volume is None) == (None, False)
    assert (second[2] is None, second[3], second[4]) == (False, None, None)
    assert all(None not in row for row in others)


@pytest.mark.parametrize(
    ("vendor", "dataset"),
    [
        ("massive", "equities_aggs_1d"),
        ("massive", "equities_bars_1d"),
        ("finnhub", "equities_bars_1d"),
        ("fmp", "equities_bars_1d"),
        ("alphavantage", "equities_bars_1d"),
    ],
)
def test_a_vendor_that_writes_no_null_has_no_such_bar(market, tmp_path, vendor, dataset):
    window = {"start": FIRST, "end": LAST}
    names = {} if (vendor, dataset) == ("massive", "equities_bars_1d") else {"symbols": ["AAA"]}
    settings = vendors.KEYS if vendor in ("fmp", "alphavantage") else replays.KEYS
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, tmp_path, vendor, dataset, settings=settings, **window, **names)
    missing, of_one = 2, len(trading_days())
    assert report.rows == (of_one if names else of_one * len(SYMBOLS)) - missing
