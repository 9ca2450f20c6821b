import json
from datetime import UTC, date, datetime

import httpx
import pytest

from ingest.transport.client import VendorClient
from ingest.vendors.binance import client as binance
from tests.support.paths import SHARED_DATA
from trademl.errors import NotEntitled, RateLimited, SchemaDrift, Unavailable

DAY = 86_400_000
MARCH_2 = 1_772_409_600_000
CLOCK = datetime(2026, 3, 5, 13, tzinfo=UTC)
PAYLOADS = SHARED_DATA / "payloads"


def kline(day, close="64890.12"):
    opened = MARCH_2 + day * DAY
    return [
        opened,
        "64120.01",
        "65010.00",
        "63800.50",
        close,
        "18231.5",
        opened + DAY - 1,
        "1174223344.1",
        2310455,
        "9120.1",
        "587112233.1",
        "0",
    ]


class Host:
    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, request):
        self.asked.append(dict(request.url.params))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def ask(host, symbols=("BTCUSDT",), start=date(2026, 3, 2), end=date(2026, 3, 5)):
    with VendorClient(
        "binance",
        "https://host",
        transport=httpx.MockTransport(host),
        classify_refusal=binance.classify_refusal,
    ) as client:
        pages = list(binance.klines(client, symbols, start, end, CLOCK))
    return [row for page in pages for row in page.rows.to_pylist()]


def test_decimals_stay_text_and_times_are_utc():
    (row,) = ask(Host([kline(0)]))
    assert row["symbol"] == "BTCUSDT"
    assert row["close"] == "64890.12"
    assert row["open_time"] == MARCH_2
    assert row["vendor_ts"] == datetime(2026, 3, 2, tzinfo=UTC)
    assert row["trades"] == 2310455
    assert row["extra"] is None


def test_the_unfinished_bar_is_dropped():
    rows = ask(Host([kline(2), kline(3)]))
    assert [row["open_time"] for row in rows] == [MARCH_2 + 2 * DAY]


def test_pages_go_on_behind_the_newest_row(monkeypatch):
    monkeypatch.setattr(binance, "KLINES_PER_PAGE", 2)
    host = Host([kline(0), kline(1)], [kline(2)])
    assert len(ask(host)) == 3
    assert [int(params["startTime"]) for params in host.asked] == [MARCH_2, MARCH_2 + 2 * DAY]
    assert host.asked[0]["interval"] == "1d"
    assert int(host.asked[0]["endTime"]) == MARCH_2 + 3 * DAY


def test_a_page_sent_twice_is_passed_over(monkeypatch):
    monkeypatch.setattr(binance, "KLINES_PER_PAGE", 2)
    rows = ask(Host([kline(0), kline(1)], [kline(0), kline(1)], [kline(2)]))
    assert [row["open_time"] for row in rows] == [MARCH_2, MARCH_2 + DAY, MARCH_2 + 2 * DAY]


def test_a_vendor_that_sends_one_page_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(binance, "KLINES_PER_PAGE", 2)
    host = Host([kline(0), kline(1)])
    with pytest.raises(Unavailable, match="repeat one page for BTCUSDT"):
        ask(host)
    assert len(host.asked) < 10


def test_an_unknown_symbol_gives_no_rows_and_the_next_one_is_asked():
    unknown = httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."})
    rows = ask(Host(unknown, [kline(0)]), symbols=("NOPE", "BTCUSDT"))
    assert [row["symbol"] for row in rows] == ["BTCUSDT"]


def test_a_place_that_is_not_served_is_told_from_a_wrong_request():
    with pytest.raises(NotEntitled, match="restricted location"):
        ask(Host(httpx.Response(451, json={"code": 0, "msg": "restricted location"})))


def test_half_of_the_minute_is_left_to_others():
    heavy = httpx.Response(200, json=[kline(0)], headers={"X-MBX-USED-WEIGHT-1M": "3001"})
    with pytest.raises(RateLimited, match="3001") as caught:
        ask(Host(heavy))
    assert caught.value.retry_after == 60


@pytest.mark.parametrize(
    "row", [kline(0)[:11], ["x", *kline(0)[1:]], [*kline(0)[:6], "x", *kline(0)[7:]]]
)
def test_another_shape_of_row_is_drift(row):
    with pytest.raises(SchemaDrift, match="klines_1d"):
        ask(Host([row]))


def test_a_price_that_is_no_text_is_drift():
    with pytest.raises(SchemaDrift, match="field close"):
        ask(Host([kline(0, close=64890.12)]))


def test_an_odd_row_costs_itself():
    days = [kline(day) for day in range(3)]
    days[0][8] = days[1][0] = 2**70
    days.insert(1, [None, *kline(0)[1:]])
    found = [(row["open_time"], row["trades"], row["extra"]) for row in ask(Host(days))]
    assert found == [
        (MARCH_2, None, f'{{"trades":"{2**70}"}}'),
        (None, 2310455, None),
        (None, 2310455, f'{{"open_time":"{2**70}"}}'),
        (MARCH_2 + 2 * DAY, 2310455, None),
    ]


def test_fields_beyond_the_known_ones_are_kept():
    used = [*kline(0)[:11], "7", "new"]
    assert ask(Host([used]))[0]["extra"] == '{"field_11":"7","field_12":"new"}'


def info(**changes):
    pair = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "NOTIONAL", "minNotional": "5.0"},
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "stepSize": "0.00001", "minQty": "0.00002"},
        ],
        **changes,
    }
    return {"serverTime": 1772500000123, "symbols": [pair]}


def read_info(content):
    with VendorClient(
        "binance", "https://h", transport=httpx.MockTransport(Host(content))
    ) as client:
        (page,) = binance.exchange_info(client)
    return page.rows.to_pylist()


def test_filters_are_found_by_name_and_all_else_is_kept():
    (row,) = read_info(info())
    assert (row["base_asset"], row["quote_asset"], row["status"]) == ("BTC", "USDT", "TRADING")
    steps = (row["tick_size"], row["step_size"], row["min_qty"], row["min_notional"])
    assert steps == ("0.01", "0.00001", "0.00002", "5.0")
    assert set(json.loads(row["extra"])) == {"filters", "isSpotTradingAllowed"}
    assert row["vendor_ts"] == datetime.fromtimestamp(1772500000.123, UTC)


def test_the_old_notional_filter_serves_where_the_new_one_is_absent():
    (row,) = read_info(info(filters=[{"filterType": "MIN_NOTIONAL", "minNotional": "10.0"}]))
    assert row["min_notional"] == "10.0"
    assert row["tick_size"] is None


def test_a_pair_of_another_shape_is_drift():
    with pytest.raises(SchemaDrift, match="exchange_info"):
        read_info(info(baseAsset=5))


def test_a_pair_that_lacks_a_value_costs_itself():
    usual, odd = info()["symbols"][0], info(symbol=None, baseAsset=None)["symbols"][0]
    rows = read_info({**info(), "symbols": [usual, odd]})
    found = [(row["symbol"], row["base_asset"], row["quote_asset"]) for row in rows]
    assert found == [("BTCUSDT", "BTC", "USDT"), (None, None, "USDT")]


def test_the_last_full_day_ends_before_the_clock():
    assert binance.last_full_day(datetime(2026, 3, 5, 0, tzinfo=UTC)) == date(2026, 3, 4)
    assert binance.last_full_day(datetime(2026, 3, 4, 23, 59, tzinfo=UTC)) == date(2026, 3, 3)


@pytest.mark.market_data
@pytest.mark.skipif(
    not PAYLOADS.is_dir(), reason="the market data folder is not beside the checkout"
)
class TestRecorded:
    def recorded(self, name):
        return json.loads((PAYLOADS / "binance" / name).read_bytes())

    def test_klines(self):
        content = self.recorded("http_spot_market_klines.json")
        rows = ask(Host(content), start=date(2021, 10, 22), end=date(2021, 10, 23))
        assert len(rows) == len(content) > 0
        assert rows[0]["close"] == "60719.27000000"

    @pytest.mark.parametrize(
        "name", ["http_spot_market_exchange_info.json", "rs_exchange_info_response.json"]
    )
    def test_exchange_info(self, name):
        rows = read_info(self.recorded(name))
        assert rows
        assert all(row["symbol"] == row["base_asset"] + row["quote_asset"] for row in rows)
