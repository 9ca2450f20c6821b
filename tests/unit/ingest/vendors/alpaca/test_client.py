import json
from datetime import UTC, date, datetime

import httpx
import msgspec
import pytest

from ingest.transport.client import VendorClient
from ingest.vendors.alpaca import client as alpaca
from ingest.vendors.registry import ENDPOINTS
from tests.support.paths import SHARED_DATA
from trademl.errors import Rejected, SchemaDrift, Unavailable

BAR = {
    "t": "2026-03-02T05:00:00Z",
    "o": 41,
    "h": 41.95,
    "l": 40.88,
    "c": 41.27,
    "v": 1840233,
    "n": 15210,
    "vw": 41.402117,
}
PAYLOADS = SHARED_DATA / "payloads"


def body(bars, token=None):
    return json.dumps({"bars": bars, "next_page_token": token}).encode()


def test_bars_become_typed_rows():
    later = {**BAR, "t": "2026-03-09T04:00:00Z", "c": 42.0}
    part = alpaca.read_bars(body({"ZQXA": [BAR, later], "ZQXB": [BAR]}, "dG9r"))
    assert part.token == "dG9r"
    assert part.rows.column("symbol").to_pylist() == ["ZQXA", "ZQXA", "ZQXB"]
    assert part.rows.column("t").to_pylist()[:2] == [
        datetime(2026, 3, 2, 5, tzinfo=UTC),
        datetime(2026, 3, 9, 4, tzinfo=UTC),
    ]
    assert part.rows.column("c").to_pylist() == [41.27, 42.0, 41.27]
    assert part.rows.column("extra").null_count == 3


def test_the_fast_and_the_slow_way_read_the_same():
    known, odd = (
        alpaca.read_bars(body({"A": [BAR]})),
        alpaca.read_bars(body({"A": [{**BAR, "x": 1}]})),
    )
    assert odd.rows.column("extra").to_pylist() == ['{"x":1}']
    names = ENDPOINTS["alpaca/bars_1d"].columns.names
    assert known.rows.select(names).to_pylist() == odd.rows.select(names).to_pylist()
    assert odd.rows.column("vendor_ts").to_pylist() == known.rows.column("t").to_pylist()


def test_one_odd_bar_among_known_ones_marks_only_itself():
    part = alpaca.read_bars(body({"A": [BAR, {**BAR, "t": "2026-03-03T05:00:00Z", "adr": [1]}]}))
    assert part.rows.column("extra").to_pylist() == [None, '{"adr":[1]}']


@pytest.mark.parametrize(
    "empty", [b'{"bars":{},"next_page_token":null}', b'{"bars":null,"next_page_token":null}']
)
def test_no_data_is_an_empty_page(empty):
    part = alpaca.read_bars(empty)
    assert (part.rows.num_rows, part.token) == (0, None)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"A": [{name: value for name, value in BAR.items() if name != "vw"}]}, "vw is absent"),
        ({"A": [{**BAR, "o": "41.1"}]}, "field o"),
        ({"A": [{**BAR, "o": True}]}, "field o"),
        ({"A": [{**BAR, "n": 1.5}]}, "field n"),
        ({"A": [{**BAR, "t": "yesterday"}]}, "not a UTC time"),
        ({"A": [{**BAR, "t": 1772409600}]}, "not a UTC time"),
        ({"A": {"t": 1}}, "Expected `array`"),
        ([BAR], "Expected `object"),
    ],
)
def test_another_shape_is_drift(wrong, complaint):
    with pytest.raises(SchemaDrift, match=complaint):
        alpaca.read_bars(body(wrong))


def test_a_bar_without_a_value_is_a_row_as_it_came():
    """Null is what the vendor said of this one bar; the lake judges it."""
    rows = alpaca.read_bars(body({"A": [{**BAR, "o": None, "v": None, "n": None}, BAR]})).rows
    assert rows.column("o").to_pylist() == [None, 41.0]
    assert rows.column("n").null_count == rows.column("v").null_count == 1


def test_a_body_without_the_known_keys_is_drift():
    with pytest.raises(SchemaDrift, match="missing required field"):
        alpaca.read_bars(b'{"quotes":{}}')


@pytest.mark.parametrize(
    "broken", [b"", b'{"bars":{"A":[{"t":"20', b"<html>busy</html>", b"\xff\xfe"]
)
def test_a_broken_body_is_worth_another_try(broken):
    with pytest.raises(Unavailable, match="not JSON"):
        alpaca.read_bars(broken)


def test_actions_keep_their_group_and_what_has_no_column():
    answer = {
        "corporate_actions": {
            "forward_splits": [
                {
                    "id": "1",
                    "symbol": "A",
                    "new_rate": 3,
                    "old_rate": 1,
                    "process_date": "2026-05-11",
                    "ex_date": "2026-05-11",
                    "due_bill_redemption_date": "2026-05-12",
                }
            ],
            "cash_dividends": [
                {
                    "id": "2",
                    "symbol": "B",
                    "rate": 0.31,
                    "special": False,
                    "process_date": "2026-06-01",
                }
            ],
        },
        "next_page_token": None,
    }
    rows = alpaca.read_actions(json.dumps(answer).encode()).rows.to_pylist()
    assert [(row["action_type"], row["symbol"], row["new_rate"], row["rate"]) for row in rows] == [
        ("forward_splits", "A", 3.0, None),
        ("cash_dividends", "B", None, 0.31),
    ]
    assert rows[0]["ex_date"] == date(2026, 5, 11)
    assert rows[0]["extra"] == '{"due_bill_redemption_date":"2026-05-12"}'
    assert rows[1]["special"] is False


def test_an_action_without_process_date_is_drift():
    answer = {"corporate_actions": {"redemptions": [{"id": "1"}]}, "next_page_token": None}
    with pytest.raises(SchemaDrift, match="process_date is absent"):
        alpaca.read_actions(json.dumps(answer).encode())


def host_of(*bodies):
    queue, asked = list(bodies), []

    def answer(request):
        asked.append(dict(request.url.params))
        content = queue.pop(0) if len(queue) > 1 else queue[0]
        return (
            content if isinstance(content, httpx.Response) else httpx.Response(200, content=content)
        )

    return VendorClient("alpaca", "https://host", transport=httpx.MockTransport(answer)), asked


def test_bars_are_asked_raw_from_the_tape_and_under_the_names_of_their_day():
    client, asked = host_of(body({}))
    with client:
        list(alpaca.bars(client, ["A", "B"], date(2026, 3, 2), date(2026, 3, 9)))
    assert asked == [
        {
            "symbols": "A,B",
            "timeframe": "1Day",
            "start": "2026-03-02T00:00:00Z",
            "end": "2026-03-09T12:00:00Z",
            "limit": "10000",
            "adjustment": "raw",
            "feed": "sip",
            "asof": "-",
            "sort": "asc",
        }
    ]


def test_pages_end_at_the_null_token_and_not_at_a_short_page():
    client, asked = host_of(body({"A": [BAR]}, "t1"), body({}, "t2"), body({"B": [BAR]}))
    with client:
        pages = list(alpaca.bars(client, ["A", "B"], date(2026, 3, 2), date(2026, 3, 9)))
    assert [page.rows.num_rows for page in pages] == [1, 0, 1]
    assert [params.get("page_token") for params in asked] == [None, "t1", "t2"]
    assert len({page.source_uri for page in pages}) == 1
    assert "page_token" not in pages[1].source_uri


def test_a_page_sent_twice_is_passed_over():
    first, second = body({"A": [BAR]}, "t1"), body({"B": [BAR]})
    client, asked = host_of(first, first, second)
    with client:
        pages = list(alpaca.bars(client, ["A", "B"], date(2026, 3, 2), date(2026, 3, 9)))
    assert [page.rows.column("symbol").to_pylist() for page in pages] == [["A"], ["B"]]
    assert [params.get("page_token") for params in asked] == [None, "t1", "t1"]


def test_a_vendor_that_sends_one_page_for_ever_is_given_up():
    client, _ = host_of(body({"A": [BAR]}, "t1"))
    with client, pytest.raises(Unavailable, match="over and over"):
        list(alpaca.bars(client, ["A"], date(2026, 3, 2), date(2026, 3, 9)))
    assert client.calls < 10


def test_a_symbol_that_the_vendor_finds_malformed_does_not_spoil_the_others():
    refused = httpx.Response(400, json={"message": "invalid symbol: B"})
    client, asked = host_of(refused, body({"A": [BAR]}))
    with client:
        pages = list(alpaca.bars(client, ["A", "B", "c d"], date(2026, 3, 2), date(2026, 3, 9)))
    assert len(pages) == 1
    assert [params["symbols"] for params in asked] == ["A,B", "A"]


def test_another_refusal_is_passed_on():
    client, _ = host_of(httpx.Response(403, json={"message": "forbidden."}))
    with client, pytest.raises(Rejected, match="403: forbidden"):
        list(alpaca.bars(client, ["A"], date(2026, 3, 2), date(2026, 3, 9)))


RECORDED = {
    "historical_stock_data__get_bars.json": 2,
    "historical_stock_data__get_bars_desc.json": 3,
    "historical_stock_data__multisymbol_get_bars.json": 2,
    "historical_stock_data__get_bars_multi_empty_response.json": 0,
    "historical_option_data__get_bars.json": 2,
}


@pytest.mark.market_data
@pytest.mark.skipif(
    not PAYLOADS.is_dir(), reason="the market data folder is not beside the checkout"
)
class TestRecorded:
    @pytest.mark.parametrize("name", RECORDED)
    def test_bars(self, name):
        part = alpaca.read_bars((PAYLOADS / "alpaca" / name).read_bytes())
        assert part.rows.num_rows == RECORDED[name]
        assert part.rows.column("extra").null_count == RECORDED[name]

    def test_corporate_actions(self):
        content = (
            PAYLOADS / "alpaca" / "corporate_actions__get_corporate_actions.json"
        ).read_bytes()
        rows = {row["action_type"]: row for row in alpaca.read_actions(content).rows.to_pylist()}
        assert len(rows) == 13
        assert rows["reverse_splits"]["old_rate"] == 50.0
        assert rows["name_changes"]["new_symbol"] == "VFS"
        assert json.loads(rows["stock_mergers"]["extra"])["acquirer_rate"] == 0.895
        assert rows["stock_and_cash_mergers"]["cash_rate"] == 7.8

    def test_assets(self):
        content = (PAYLOADS / "alpaca" / "trading_asset_routes__get_all_assets.json").read_bytes()
        client, _ = host_of(content)
        with client:
            active = next(iter(alpaca.assets(client)))
        row = active.rows.to_pylist()[0]
        assert (row["symbol"], row["class"], row["tradable"]) == ("AAPL", "us_equity", True)
        assert set(msgspec.json.decode(row["extra"])) == {
            "attributes",
            "last_close_pct_change",
            "last_price",
        }
