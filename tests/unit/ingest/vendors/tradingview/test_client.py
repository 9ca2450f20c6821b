import json

import httpx
import pytest

from ingest.transport.client import VendorClient
from ingest.vendors.tradingview import client as tradingview
from ingest.vendors.tradingview.client import Scan
from tests.support.paths import SHARED_DATA
from trademl.errors import RateLimited, Rejected, SchemaDrift, Unavailable

PAYLOADS = SHARED_DATA / "payloads"
QUESTION = Scan(
    market="america",
    columns=("close", "Recommend.All|240", "typespecs"),
    filters=({"left": "close", "operation": "greater", "right": 5},),
    sort_by="close",
)


def row(symbol, *values, name=None):
    """A row of ``QUESTION``: name, update_mode, close, rating, typespecs."""
    name = symbol.split(":")[1] if name is None else name
    return {"s": symbol, "d": [name, "streaming", *(values or (1.5, 0.25, ["common"]))]}


def answer(*rows, total=None):
    return {"totalCount": len(rows) if total is None else total, "data": list(rows)}


class Host:
    """Gives its answers in turn, the last one for ever, and keeps the bodies it was sent."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, request):
        assert (request.method, request.url.query) == ("POST", b"")
        self.asked.append(json.loads(request.content))
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return given if isinstance(given, httpx.Response) else httpx.Response(200, json=given)

    @property
    def ranges(self):
        return [body["range"] for body in self.asked]


def pages(host, question=QUESTION):
    transport = httpx.MockTransport(host)
    with VendorClient("tradingview", "https://host", transport=transport) as client:
        return list(tradingview.scan(client, question))


def ask(host, question=QUESTION):
    return [row for page in pages(host, question) for row in page.rows.to_pylist()]


def test_values_stay_as_they_were_sent_and_columns_keep_their_timeframe():
    body = (
        b'{"totalCount":9,"data":[{"s":"NYSE:BRK.B","d":["BRK.B","endofday",41.270,null,["a"]]}]}'
    )
    scan = Scan("america", QUESTION.columns, (), "close", limit=1)
    found = ask(Host(httpx.Response(200, content=body)), scan)
    assert [(r["field"], r["timeframe"], r["value"]) for r in found] == [
        ("name", "1D", '"BRK.B"'),
        ("update_mode", "1D", '"endofday"'),
        ("close", "1D", "41.270"),
        ("Recommend.All", "240", None),
        ("typespecs", "1D", '["a"]'),
    ]
    assert {(r["symbol"], r["market"], r["update_mode"], r["total_count"]) for r in found} == {
        ("NYSE:BRK.B", "america", "endofday", 9)
    }
    assert {r["extra"] for r in found} == {None}


def test_the_question_is_sent_as_the_vendor_wants_it():
    host = Host(answer())
    assert ask(host) == []
    (body,) = host.asked
    assert body["columns"] == ["name", "update_mode", "close", "Recommend.All|240", "typespecs"]
    assert body["filter"] == [{"left": "close", "operation": "greater", "right": 5}]
    assert body["sort"] == {"sortBy": "close", "sortOrder": "desc", "nullsFirst": False}
    assert (body["range"], body["ignore_unknown_fields"]) == ([0, 1000], False)


def test_pages_go_on_to_the_last_match(monkeypatch):
    monkeypatch.setattr(tradingview, "ROWS_PER_PAGE", 2)
    host = Host(
        answer(row("X:A"), row("X:B"), total=5),
        answer(row("X:C"), row("X:D"), total=5),
        answer(row("X:E"), total=5),
    )
    assert sorted({r["symbol"] for r in ask(host)}) == ["X:A", "X:B", "X:C", "X:D", "X:E"]
    assert host.ranges == [[0, 2], [2, 4], [4, 6]]


def test_pages_share_one_identity_and_have_a_hash_each(monkeypatch):
    monkeypatch.setattr(tradingview, "ROWS_PER_PAGE", 1)
    found = pages(Host(answer(row("X:A"), total=2), answer(row("X:B"), total=2)))
    assert len({page.request_hash for page in found}) == 1
    assert len({page.payload_sha256 for page in found}) == 2
    assert {page.source_uri for page in found} == {"https://host/america/scan"}


def test_a_limit_takes_the_top_and_asks_no_row_beyond_it(monkeypatch):
    monkeypatch.setattr(tradingview, "ROWS_PER_PAGE", 2)
    host = Host(
        answer(row("X:A"), row("X:B"), total=9),
        answer(row("X:C"), total=9),
    )
    limited = Scan("america", QUESTION.columns, (), "close", limit=3)
    assert {r["symbol"] for r in ask(host, limited)} == {"X:A", "X:B", "X:C"}
    assert host.ranges == [[0, 2], [2, 3]]


def test_a_vendor_that_caps_its_pages_is_read_to_the_end():
    host = Host(answer(row("X:A"), row("X:B"), total=3), answer(row("X:C"), total=3))
    assert len({r["symbol"] for r in ask(host)}) == 3
    assert host.ranges == [[0, 1000], [2, 1002]]


def test_rows_that_are_kept_back_are_noticed():
    host = Host(answer(row("X:A"), total=3), answer(total=3))
    with pytest.raises(Unavailable, match="stopped after 1 of 3 rows"):
        ask(host)


def test_more_rows_than_were_asked_are_drift():
    limited = Scan("america", QUESTION.columns, (), "close", limit=1)
    with pytest.raises(SchemaDrift, match="sent 2 rows, 1 were asked"):
        ask(Host(answer(row("X:A"), row("X:B"))), limited)


@pytest.mark.parametrize("second", [answer(row("X:A"), total=2), answer(row("X:B"), total=3)])
def test_a_market_that_moves_between_pages_is_asked_again(monkeypatch, second):
    monkeypatch.setattr(tradingview, "ROWS_PER_PAGE", 1)
    first = answer(row("X:A"), total=2)
    host = Host(first, second, answer(row("X:C"), total=3), first, answer(row("X:B"), total=2))
    if second["totalCount"] == 2:
        host.answers.pop(2)
    assert {r["symbol"] for r in ask(host)} == {"X:A", "X:B"}


def test_pages_that_never_fit_together_are_given_up(monkeypatch):
    monkeypatch.setattr(tradingview, "ROWS_PER_PAGE", 1)
    host = Host(answer(row("X:A"), total=2))
    with pytest.raises(Unavailable, match="overlap or disagree"):
        ask(host)
    assert len(host.asked) == 6


def test_an_unknown_column_is_a_refusal_that_names_it():
    refusal = {"totalCount": 0, "error": 'Unknown field "xyz"', "data": None}
    host = Host(httpx.Response(400, json=refusal))
    with pytest.raises(Rejected, match='HTTP 400: Unknown field "xyz"'):
        ask(host)
    assert len(host.asked) == 1


def test_an_error_under_status_200_is_a_refusal_too():
    with pytest.raises(Rejected, match="bad operation"):
        ask(Host({"totalCount": 0, "error": "bad operation", "data": None}))


@pytest.mark.parametrize("busy", [httpx.Response(429), httpx.Response(200, content=b" ")])
def test_both_ways_of_saying_too_often_are_retried_and_then_reported(busy):
    assert ask(Host(busy, answer(row("X:A"))))
    host = Host(busy)
    with pytest.raises(RateLimited):
        ask(host)
    assert len(host.asked) == 3


@pytest.mark.parametrize("broken", [httpx.Response(502), httpx.Response(200, content=b'{"tot')])
def test_outages_and_cut_bodies_are_retried(broken):
    assert ask(Host(broken, answer(row("X:A"))))
    with pytest.raises(Unavailable):
        ask(Host(broken))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (answer(row("X:A", 1.0)), "sent 3 values for X:A, 5 columns were asked"),
        (answer(row("X:A", name="B")), "a row for X:A that names B"),
        (answer({"s": "A", "d": ["A", "streaming", 1, 2, 3]}), "a row for A that names A"),
        ({"totalCount": "9", "data": []}, "totalCount"),
        ({"data": []}, "totalCount"),
    ],
)
def test_another_shape_or_a_mixed_up_row_is_drift(body, reason):
    with pytest.raises(SchemaDrift, match=reason):
        ask(Host(body))


def test_questions_differ_by_all_that_changes_their_answer():
    def hashed(**changes):
        words = {"market": "america", "columns": ("close",), "filters": (), "sort_by": "close"}
        return Scan(**{**words, **changes}).request_hash

    others = [
        hashed(market="crypto"),
        hashed(columns=("open",)),
        hashed(filters=QUESTION.filters),
        hashed(sort_order="asc"),
        hashed(limit=7),
        hashed(tickers=("X:A",)),
    ]
    assert len({hashed(), *others}) == 7
    assert hashed() == hashed()


@pytest.mark.market_data
@pytest.mark.skipif(
    not PAYLOADS.is_dir(), reason="the market data folder is not beside the checkout"
)
class TestRecorded:
    def test_a_recorded_scan(self):
        """Its third column is not told apart from an update mode; shape and echo are what counts."""
        content = json.loads((PAYLOADS / "tradingview" / "scanner_russia_scan.json").read_bytes())
        for entry in content["data"]:
            name, *values = entry["d"]
            entry["d"] = [name, "endofday", *values]
        count = len(content["data"])
        question = Scan("russia", ("close", "volume"), (), "close", "desc", limit=count)
        found = ask(Host(content), question)
        assert len(found) == 4 * count
        assert {r["total_count"] for r in found} == {478}
        prices = {r["symbol"]: r["value"] for r in found if r["field"] == "close"}
        assert prices["RUS:UDMN"] == "27253.53"

    def test_recorded_requests_have_the_shape_of_ours(self):
        """Every key that we send is one that the site itself sends, with the same kind of value."""
        path = PAYLOADS / "tradingview" / "main_screeners_queries.json"
        sent = [entry["query"] for entry in json.loads(path.read_bytes())]
        kinds = {key: type(value) for body in sent for key, value in body.items() if value}
        ours = {**QUESTION.body, "range": [0, 50]}
        assert {key: type(value) for key, value in ours.items()}.items() <= {
            **kinds,
            "ignore_unknown_fields": bool,
        }.items()
