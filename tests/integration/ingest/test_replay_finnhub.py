"""Finnhub's connectors against the replay vendor, over loopback."""

from datetime import UTC, date, datetime

import duckdb
import httpx
import pytest

from ingest.transport.client import VendorClient
from ingest.vendors.finnhub import client as finnhub
from simulator.replay.server import ReplayServer
from simulator.replay.vendors import finnhub as finnhub_wire
from tests.support.markets import (
    FIRST,
    LAST,
    MORNING_AFTER,
    equity_rows,
    landed_files,
    landed_rows,
    leftovers,
)
from tests.support.paths import SHARED_DATA
from tests.support.replays import SECRET, earnings_rows, option_rows, rich_market, run
from trademl.errors import (
    ConfigError,
    DataError,
    NotEntitled,
    RateLimited,
    Rejected,
    SchemaDrift,
    Unavailable,
)

pytestmark = pytest.mark.usefixtures("no_waits")

MARKET_US = SHARED_DATA / "market_us"
CANDLES, CHAIN = "finnhub/candles_1d_split_adjusted", "finnhub/option_chain"
EARNINGS = "finnhub/earnings_calendar"
NAMES = {"symbols": ["AAA", "BBB", "BRK.B"], "start": FIRST}
SPAN = {"start": FIRST, "end": LAST}


@pytest.fixture
def market(tmp_path):
    return rich_market(tmp_path / "market")


def adjusted(row):
    """AAA splits 3:2 on March 5, BBB 1:10 on March 6."""
    if row["symbol"] == "AAA" and row["date"] < date(2020, 3, 5):
        return 1.5
    return 0.2 if row["symbol"] == "BBB" and row["date"] < date(2020, 3, 6) else 1.0


def test_candles_are_landed_as_adjusted_under_their_own_name(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "finnhub", "equities_bars_1d", **NAMES)
        assert (report.rows, report.calls) == (60, 3)
        assert run(server, data, "finnhub", "equities_bars_1d", **NAMES).calls == 0
    found = landed_rows(data, CANDLES, "select symbol, t::date, c, v from landed order by all")
    wanted = [
        (r["symbol"], r["date"], r["close"] / adjusted(r), r["volume"] * adjusted(r))
        for r in equity_rows()
    ]
    assert [row[:2] for row in found] == [row[:2] for row in wanted]
    assert [row[2:] for row in found] == [pytest.approx(row[2:]) for row in wanted]
    hours = "select distinct hour(t), source_name from landed"
    assert landed_rows(data, CANDLES, hours) == [(0, "finnhub_split_adjusted")]


def test_a_split_to_come_adjusts_nothing_yet(market, data):
    before = datetime(2020, 3, 5, 2, tzinfo=UTC)
    with ReplayServer(market, before) as server:
        run(server, data, "finnhub", "equities_bars_1d", before, symbols=["AAA"], start=FIRST)
    found = landed_rows(data, CANDLES, "select c from landed order by t")
    raw = [r["close"] for r in equity_rows() if r["symbol"] == "AAA"]
    assert [close for (close,) in found] == raw[: len(found)]


def test_an_unknown_symbol_is_named_and_no_symbols_are_not_all(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(DataError, match="finnhub has no bars for NOPE"):
            run(server, data, "finnhub", "equities_bars_1d", symbols=["NOPE", "AAA"], start=FIRST)
        with pytest.raises(ConfigError, match="name some with --symbols"):
            run(server, data, "finnhub", "equities_bars_1d")
        with pytest.raises(ConfigError, match="name some with --symbols"):
            run(server, data, "finnhub", "options_chain")


def test_a_chain_lands_with_every_contract(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "finnhub", "options_chain", symbols=["AAA", "BRK.B", "NONE"])
    assert (report.rows, report.calls) == (24, 3)
    of = """
        select chain_code, expirationDate, strike, left(type, 1), bid, ask from landed order by all
    """
    assert landed_rows(data, CHAIN, of) == sorted(
        (r["underlier"], r["expiry"], r["strike"], r["cp_flag"], r["bid"] or 0.0, r["ask"])
        for r in option_rows()
        if r["ts"].day == 20
    )
    of = "select distinct expiration_optionsCount, chain_lastTradeDate, extra from landed"
    assert landed_rows(data, CHAIN, of) == [(6.0, LAST, None)]


def dates_of(rows):
    return sorted((r["symbol"], r["earnings_date"]) for r in rows)


EARNINGS_OF = "select symbol, date from landed order by all"


def test_the_calendar_is_asked_week_by_week(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "finnhub", "earnings_calendar", **SPAN)
        assert (report.rows, report.calls) == (60, 4)
        assert run(server, data, "finnhub", "earnings_calendar", **SPAN).calls == 0
    assert landed_rows(data, EARNINGS, EARNINGS_OF) == dates_of(earnings_rows())


def test_a_week_that_would_be_cut_is_asked_day_by_day(market, data, monkeypatch):
    monkeypatch.setattr(finnhub_wire, "_CALENDAR_ROWS", 10)
    monkeypatch.setattr(finnhub, "CALENDAR_ROWS", 10)
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "finnhub", "earnings_calendar", **SPAN)
    assert report.rows == 60
    assert report.calls > 20
    assert landed_rows(data, EARNINGS, EARNINGS_OF) == dates_of(earnings_rows())


def test_a_day_that_is_cut_is_an_error_and_nothing_lands(market, data, monkeypatch):
    monkeypatch.setattr(finnhub_wire, "_CALENDAR_ROWS", 3)
    monkeypatch.setattr(finnhub, "CALENDAR_ROWS", 3)
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(DataError, match="sent 3 rows for 2020-02-24, at 3 it cuts"),
    ):
        run(server, data, "finnhub", "earnings_calendar", **SPAN)
    assert leftovers(data) == []


def test_the_calendar_tells_what_was_announced_by_the_clock(market, data):
    clock = datetime(2020, 3, 2, 13, tzinfo=UTC)
    with ReplayServer(market, clock) as server:
        run(server, data, "finnhub", "earnings_calendar", clock, symbols=["BBB"])
    told = [r for r in earnings_rows() if r["symbol"] == "BBB" and r["announced_at"] <= clock]
    assert landed_rows(data, EARNINGS, EARNINGS_OF) == dates_of(told)
    assert max(r["earnings_date"] for r in told) == date(2020, 3, 16)


CASES = [
    ("equities_bars_1d", NAMES, 3, 60, 2),
    ("options_chain", {"symbols": ["AAA", "BRK.B"]}, 2, 24, 17),
    ("earnings_calendar", SPAN, 4, 60, 6),
]


@pytest.mark.parametrize(("dataset", "options", "calls", "rows", "seed"), CASES)
@pytest.mark.parametrize("kind", ["429", "5xx", "cut", "malformed"])
def test_passing_trouble_costs_calls_and_no_rows(
    market, data, kind, dataset, options, calls, rows, seed
):
    with ReplayServer(market, MORNING_AFTER, f"finnhub/{kind}:0.35;seed={seed}") as server:
        report = run(server, data, "finnhub", dataset, **options)
    assert report.rows == rows
    assert report.calls > calls


@pytest.mark.parametrize(
    ("kind", "error"),
    [("429", RateLimited), ("5xx", Unavailable), ("cut", Unavailable), ("malformed", Unavailable)],
)
def test_trouble_that_stays_is_one_error_and_nothing_lands(market, data, kind, error):
    with ReplayServer(market, MORNING_AFTER, f"{kind}:1;retry_after=7") as server:
        with pytest.raises(error) as caught:
            run(server, data, "finnhub", "options_chain", symbols=["AAA"])
        assert server.requests == 3
    assert "\n" not in str(caught.value)
    if kind == "429":
        assert "API limit reached" in str(caught.value)
        assert 6 <= caught.value.retry_after <= 8
    assert leftovers(data) == []


@pytest.mark.parametrize("dataset", ["options_chain", "earnings_calendar"])
def test_rows_of_another_symbol_are_refused(market, data, dataset):
    with (
        ReplayServer(market, MORNING_AFTER, "wrong_symbol:1") as server,
        pytest.raises(SchemaDrift, match="answered for ZZQWRONG, which was not asked"),
    ):
        run(server, data, "finnhub", dataset, symbols=["AAA"])
    assert leftovers(data) == []


def test_a_plan_that_does_not_cover_is_told_from_a_wrong_key(market, data):
    with (
        ReplayServer(market, MORNING_AFTER, "finnhub/free=1") as server,
        pytest.raises(NotEntitled, match="don't have access to this resource"),
    ):
        run(server, data, "finnhub", "equities_bars_1d", **NAMES)
    with (
        ReplayServer(market, MORNING_AFTER, keys={"finnhub": "another"}) as server,
        pytest.raises(Rejected, match="Invalid API key; check the finnhub keys") as caught,
    ):
        run(server, data, "finnhub", "equities_bars_1d", **NAMES)
    assert SECRET not in str(caught.value)
    assert leftovers(data) == []


def test_no_key_is_in_anything_that_lands(market, data):
    with ReplayServer(market, MORNING_AFTER, keys={"finnhub": SECRET}) as server:
        run(server, data, "finnhub", "earnings_calendar", **SPAN)
    (file,) = landed_files(data, EARNINGS)
    assert SECRET.encode() not in file.read_bytes()


# --- what cannot be trusted


def client_of(content, status=200):
    def answer(request):
        return httpx.Response(status, json=content)

    said = {
        "classify_refusal": finnhub.classify_refusal,
        "is_refusal_body": finnhub.is_refusal_body,
    }
    return VendorClient("finnhub", "https://h", transport=httpx.MockTransport(answer), **said)


def candles(content):
    with client_of(content) as client:
        span = (date(2026, 3, 2), date(2026, 3, 3))
        (page,) = finnhub.candles(client, ["ZQXA"], *span, MORNING_AFTER)
    return page.rows.to_pylist()


KNOWN = {"c": [41.27], "h": [41.95], "l": [40.88], "o": [41.1], "s": "ok", "t": [1772409600]}


def test_a_candle_lies_on_utc_midnight():
    (row,) = candles({**KNOWN, "v": [1840233]})
    assert row["t"] == row["vendor_ts"] == datetime(2026, 3, 2, tzinfo=UTC)
    assert (row["symbol"], row["o"], row["c"], row["v"]) == ("ZQXA", 41.1, 41.27, 1840233.0)
    assert candles({"s": "no_data"}) == []


@pytest.mark.parametrize(
    ("content", "error", "complaint"),
    [
        ({**KNOWN, "v": [1, 2]}, SchemaDrift, "unequal lengths"),
        (KNOWN, SchemaDrift, "unequal lengths"),
        ({"s": "ok"}, SchemaDrift, "'ok' with 0 rows"),
        ({"s": "soon"}, SchemaDrift, "'soon'"),
        ({**KNOWN, "v": ["1"]}, SchemaDrift, "Expected `float`"),
        ({"error": "Invalid\nsymbol"}, Rejected, "HTTP 200: Invalid symbol; check"),
    ],
)
def test_what_cannot_be_trusted_is_refused(content, error, complaint):
    with pytest.raises(error, match=complaint):
        candles(content)


@pytest.mark.parametrize("data_of_none", [{"data": []}, {"data": None}, {}])
def test_an_empty_chain_has_no_rows(data_of_none):
    with client_of(data_of_none) as client:
        (page,) = finnhub.option_chain(client, ["ZQXA"])
    assert page.rows.num_rows == 0


def test_a_document_without_a_chain_is_no_empty_chain():
    with client_of({"odd": 1}) as client, pytest.raises(SchemaDrift, match=r"'odd'.* and no data"):
        list(finnhub.option_chain(client, ["ZQXA"]))


def test_an_unknown_field_is_kept_and_another_shape_is_drift():
    contract = {"contractName": "Z", "type": "CALL", "expirationDate": "2026-06-19", "strike": 45}
    chain = {"code": "ZQXA", "data": [{"options": {"CALL": [{**contract, "new": 1}], "PUT": []}}]}
    with client_of(chain) as client:
        (page,) = finnhub.option_chain(client, ["ZQXA"])
    assert page.rows.column("extra").to_pylist() == ['{"new":1}']
    with (
        client_of({"data": [{"options": [contract]}]}) as client,
        pytest.raises(SchemaDrift, match="expiration of another shape"),
    ):
        list(finnhub.option_chain(client, ["ZQXA"]))


@pytest.mark.market_data
@pytest.mark.skipif(not MARKET_US.is_dir(), reason="the market data folder is not there")
def test_real_candles_are_adjusted_by_the_splits_of_the_market(data):
    span = {"start": date(2014, 6, 2), "end": date(2014, 6, 13)}
    clock = datetime(2017, 12, 30, 13, tzinfo=UTC)
    with ReplayServer(MARKET_US, clock) as server:
        run(server, data, "finnhub", "equities_bars_1d", clock, symbols=["AAPL"], **span)
    raw = duckdb.sql(
        "select date, close / if(date < '2014-06-09', 7, 1) "
        f"from '{MARKET_US}/equities_daily.parquet' where symbol = 'AAPL' "
        f"and date between '{span['start']}' and '{span['end']}' order by 1"
    ).fetchall()
    found = landed_rows(data, CANDLES, "select t::date, c from landed order by 1")
    assert [day for day, _ in found] == [day for day, _ in raw]
    assert [c for _, c in found] == pytest.approx([c for _, c in raw])
    assert len(found) == 10
