"""Bodies that Alpha Vantage, FRED and EDGAR really sent, read by the connectors."""

import gzip
import json
from datetime import UTC, date, datetime

import httpx
import pytest

from ingest.sync import run_ingest
from ingest.transport import throttle
from ingest.transport.client import Banned, Exhausted, VendorClient
from ingest.vendors.alphavantage import client as alphavantage
from ingest.vendors.fmp import client as fmp
from ingest.vendors.fmp import schema
from ingest.vendors.fred import client as fred
from ingest.vendors.sec_edgar import client as sec_edgar
from ingest.vendors.sec_edgar import form25
from simulator.replay.vendors.sec_edgar import SecWire
from tests.support.paths import SHARED_DATA
from trademl.errors import (
    NotEntitled,
    RateLimited,
    Rejected,
    SchemaDrift,
    Unavailable,
    UnknownSymbol,
    WrongKey,
)
from trademl.settings import Settings

CLOCK = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEYS = Settings(
    alphavantage_key="K" * 16,
    finnhub_api_key="z" * 20,
    massive_api_key="m" * 20,
    sec_user_agent="A b@c.de",
    _env_file=None,
)
PAYLOADS = SHARED_DATA / "payloads"
recorded = pytest.mark.skipif(not PAYLOADS.exists(), reason="no recorded payloads beside this")
AV = {
    "classify_refusal": alphavantage.classify_refusal,
    "is_refusal_body": alphavantage.is_refusal_body,
    "window": 2.0,
}


@pytest.fixture(autouse=True)
def no_pace(monkeypatch):
    monkeypatch.setattr(throttle.time, "sleep", lambda _seconds: None)


def payload(name):
    path = PAYLOADS / name
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def client_of(vendor, body, status=200, **options):
    def answer(request):
        sent = body(request) if callable(body) else body
        return httpx.Response(status, content=sent)

    return VendorClient(vendor, "https://host", transport=httpx.MockTransport(answer), **options)


@pytest.mark.market_data
@recorded
@pytest.mark.parametrize(("state", "count"), [("active", 13_267), ("delisted", 9_337)])
def test_recorded_listings_land_whole(state, count):
    body = payload(f"alpha_vantage/LISTING_STATUS_{state}_2026.csv.gz")
    with client_of("alphavantage", body, **AV) as client:
        (page,) = alphavantage.listing_status(client, date(2026, 6, 2), state)
    assert page.rows.num_rows == count
    assert page.rows.column("extra").null_count == count
    gone = page.rows.column("delistingDate")
    assert gone.null_count == (count if state == "active" else 0)


@pytest.mark.market_data
@recorded
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ratelimit_Information_burst_2025", RateLimited),
        ("ratelimit_Note_2018_2023", RateLimited),
        ("ratelimit_Information_daily_2024", Exhausted),
    ],
)
def test_recorded_notices_are_limits_of_their_kind(name, error):
    body = payload(f"alpha_vantage/{name}.json")
    with (
        client_of("alphavantage", body, query_keys={"apikey": "X" * 16}, **AV) as client,
        pytest.raises(error) as caught,
    ):
        list(alphavantage.splits(client, "IBM"))
    assert type(caught.value) is error
    assert "X" * 16 not in str(caught.value)
    assert client.calls == (1 if error is Exhausted else 3)


@pytest.mark.market_data
@recorded
def test_recorded_observations_land_whole():
    body = payload("fred/fred_series_observations_SP500.json.gz")
    refused = (
        b'{"error_code":400,"error_message":"Bad Request.  The series does not exist in ALFRED'
    )
    told = json.loads(body)

    def answer(request):
        is_dates = request.url.path.endswith("vintagedates")
        return httpx.Response(
            400 if is_dates else 200, content=refused + b'"}' if is_dates else body
        )

    transport = httpx.MockTransport(answer)
    with VendorClient(
        "fred", "https://host", transport=transport, classify_refusal=fred.classify_refusal
    ) as client:
        (page,) = fred.observations(client, "SP500", None)
    assert page.rows.num_rows == told["count"] == 2_609
    values = [row["value"] for row in told["observations"]]
    assert page.rows.column("value").to_pylist() == values
    assert page.rows.column("extra").null_count == 2_609
    assert set(page.rows.column("vintage_kind").to_pylist()) == {"inferred"}


@pytest.mark.market_data
@recorded
def test_recorded_series_and_the_recorded_refusal():
    with client_of("fred", payload("fred/fred_series_DGS1.json")) as client:
        (page,) = fred.series(client, "DGS1")
    assert page.rows.column("vendor_ts").to_pylist() == [datetime(2026, 6, 2, 20, 17, tzinfo=UTC)]
    refused = payload(
        "fred/fred_series_observations_USAB6DBTT01CXCUSAQ_2020-01-01_2024-03-31_http400.json"
    )
    options = {"classify_refusal": fred.classify_refusal}
    with client_of("fred", refused, 400, **options) as client, pytest.raises(UnknownSymbol):
        list(fred.series(client, "USAB6DBTT01CXCUSAQ"))


@pytest.mark.market_data
@recorded
@pytest.mark.parametrize(
    ("name", "count"),
    [("0000320193_AAPL", 24_579), ("0001640147_SNOW", 8_163), ("0001997711_LPA_ifrs", 768)],
)
def test_recorded_facts_land_whole(name, count):
    body = payload(f"sec/companyfacts_CIK{name}.json.gz")
    with client_of("sec_edgar", body, classify_refusal=sec_edgar.classify_refusal) as client:
        (page,) = sec_edgar.companyfacts(client, name[:10])
    assert page.rows.num_rows == count
    assert page.rows.column("extra").null_count == count
    assert page.rows.column("frame").null_count > 0


@pytest.mark.market_data
@recorded
@pytest.mark.parametrize(
    ("name", "count"), [("0000789019_MSFT", 1_006), ("0001318605_TSLA", 1_000)]
)
def test_recorded_submissions_name_files_that_must_be_whole(name, count):
    body = payload(f"sec/submissions_CIK{name}.json.gz")
    columns = json.loads(body)["filings"]["recent"]
    cut = json.dumps({key: values[:5] for key, values in columns.items()}).encode()
    whole = json.loads(body)
    whole["filings"]["files"] = []

    def first_then_cut(request):
        return cut if "-submissions-" in request.url.path else body

    with client_of("sec_edgar", json.dumps(whole).encode()) as client:
        (page,) = sec_edgar.submissions(client, name[:10])
    assert page.rows.num_rows == count
    assert page.rows.column("extra").null_count == count
    # Both filers' times are UTC: read as New York's, some would lie in the night.
    assert sec_edgar.states_utc(columns["acceptanceDateTime"])
    with client_of("sec_edgar", first_then_cut) as client, pytest.raises(Unavailable, match="5 of"):
        list(sec_edgar.submissions(client, name[:10]))


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("Limit Reach . Please upgrade your plan", RateLimited),
        ("Bandwidth Limit Reach . Please upgrade your plan", Exhausted),
        ("Exclusive Endpoint : This endpoint is not available", NotEntitled),
        ("Legacy Endpoint : Due to Legacy endpoints", Rejected),
        ("Invalid API KEY. Feel free to create", Rejected),
    ],
)
def test_fmp_says_no_with_a_good_status_too(said, error):
    body = json.dumps({"Error Message": said}).encode()
    options = {"classify_refusal": fmp.classify_refusal, "is_refusal_body": fmp.is_refusal_body}
    with client_of("fmp", body, **options) as client, pytest.raises(error) as caught:
        list(fmp.statements(client, schema.INCOME, "AAA"))
    assert type(caught.value) is error


THROTTLED = SecWire.refuse_rate(None, 0, {}).body
UNNAMED = THROTTLED.replace(b"Request Rate Threshold Exceeded", b"An Undeclared Automated Tool")
DENIED = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'
CSV_NOTICE = b'Information\n"Thank you for using Alpha Vantage! {}"\n'
SPARINGLY = CSV_NOTICE.replace(b"{}", b"Please spread out your requests more sparingly.")
DAILY = CSV_NOTICE.replace(b"{}", b"Our standard API rate limit is 25 requests per day.")
FIREWALL = b"<html><head><title>403 Forbidden</title></head></html>"
FINNHUB_LIMIT = b'{"error":"API limit reached. Please try again later. Remaining Limit: 0"}'
MASSIVE_PLAN = b'{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data."}'
FINNHUB_PLAN = b'{"error":"You don\'t have access to this resource."}'


@pytest.mark.parametrize(
    ("vendor", "dataset", "status", "body", "error"),
    [
        ("sec_edgar", "company_tickers", 403, THROTTLED, Banned),
        ("sec_edgar", "delistings", 403, THROTTLED, Banned),
        ("sec_edgar", "company_tickers", 403, UNNAMED, WrongKey),
        ("sec_edgar", "company_tickers", 403, DENIED, Unavailable),
        ("sec_edgar", "delistings", 403, FIREWALL, Unavailable),
        ("alphavantage", "universe_pit", 200, SPARINGLY, RateLimited),
        ("alphavantage", "delistings", 200, DAILY, Exhausted),
        ("alphavantage", "universe_pit", 200, FIREWALL, Unavailable),
        ("alphavantage", "universe_pit", 200, b"ticker,name\nA,B\n", SchemaDrift),
        ("binance", "crypto_filters", 403, FIREWALL, Banned),
        ("binance", "crypto_filters", 418, b"{}", Banned),
        ("massive", "corp_actions_splits", 403, FIREWALL, Unavailable),
        ("massive", "corp_actions_splits", 403, MASSIVE_PLAN, NotEntitled),
        ("finnhub", "earnings_calendar", 403, FIREWALL, Unavailable),
        ("finnhub", "earnings_calendar", 403, FINNHUB_PLAN, NotEntitled),
        ("finnhub", "earnings_calendar", 200, FINNHUB_LIMIT, RateLimited),
        ("finnhub", "earnings_calendar", 429, FINNHUB_LIMIT, RateLimited),
        ("finnhub", "earnings_calendar", 200, FINNHUB_PLAN, NotEntitled),
        ("finnhub", "earnings_calendar", 401, FINNHUB_PLAN, NotEntitled),
        ("finnhub", "earnings_calendar", 200, b'{"error":"Invalid symbol"}', Rejected),
    ],
)
def test_a_refusal_is_taken_for_what_it_is(tmp_path, vendor, dataset, status, body, error):
    def make_client(name, host, **options):
        transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
        return VendorClient(name, host, **{**options, "transport": transport})

    asked = {"data_dir": tmp_path, "clock": CLOCK, "settings": KEYS, "make_client": make_client}
    with pytest.raises(error) as caught:
        run_ingest(vendor, dataset, **asked)
    assert type(caught.value) is error


@pytest.mark.parametrize("absent", [(403, DENIED), (404, b"<Error/>")])
def test_a_quarter_may_be_without_an_index_in_its_first_week(absent):
    status, body = absent
    first = date(2026, 10, 1)
    with client_of("sec_edgar", body, status, classify_refusal=form25.classify_refusal) as client:
        assert list(form25.removals(client, first, date(2026, 10, 8))) == []
        with pytest.raises(Unavailable, match="no index of the quarter from 2026-10-01"):
            list(form25.removals(client, first, date(2026, 10, 9)))


def test_quarterly_statements_that_are_annual_are_refused():
    """A word that the vendor does not know gets the annual ones without a word."""
    row = {
        "symbol": "AAA",
        "date": "2025-12-31",
        "period": "FY",
        "reportedCurrency": "USD",
        "acceptedDate": "2026-02-05 16:07:41",
    }
    body = json.dumps([row]).encode()
    with client_of("fmp", body) as client, pytest.raises(SchemaDrift, match="by quarter, sent"):
        list(fmp.statements(client, schema.INCOME, "AAA"))


def test_form_25_is_matched_exactly_and_a_cut_index_is_noticed():
    head = b"CIK|Company Name|Form Type|Date Filed|Filename\n-----\n"
    lines = b"".join(
        b"1|A B|%s|2020-01-02|edgar/data/1/0000000001-20-00000%d.txt\n" % (form, number)
        for number, form in enumerate([b"25", b"25-NSE", b"253G2", b"25/A", b"10-K"])
    )
    rows = form25.read_index(head + lines)
    assert [row["form_type"] for row in rows] == ["25", "25-NSE", "25/A"]
    with pytest.raises(Unavailable, match="broken line"):
        form25.read_index(head + lines[:-10])
    with pytest.raises(SchemaDrift, match="without the line"):
        form25.read_index(lines)


@pytest.mark.parametrize(
    ("texts", "is_utc"),
    [
        (["2026-02-05T23:30:00.000Z"], True),
        (["2026-02-05T06:30:00.000Z"], False),
        # Nothing tells: the later reading, New York, is taken.
        (["2026-02-05T16:07:41.000Z"], False),
    ],
)
def test_acceptance_times_tell_their_zone_by_the_hours_of_edgar(texts, is_utc):
    assert sec_edgar.states_utc(texts) is is_utc


def test_the_pace_keeps_calls_apart(monkeypatch):
    slept = []
    monkeypatch.setattr(throttle.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(throttle.time, "sleep", slept.append)
    kept = throttle.Pace(0.5)
    for _ in range(3):
        kept.wait()
    assert slept == [0.5, 1.0]
