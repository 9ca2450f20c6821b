"""Massive's connectors against the replay vendor, over loopback."""

from datetime import UTC, date, datetime, timedelta

import duckdb
import httpx
import pyarrow as pa
import pytest

from ingest.transport.client import VendorClient
from ingest.vendors.massive import bars as massive_bars
from ingest.vendors.massive import client as massive
from ingest.vendors.massive import options as massive_options
from ingest.vendors.massive import schema
from ingest.vendors.registry import ENDPOINTS
from simulator.replay.server import ReplayServer
from tests.support.markets import (
    FIRST,
    LAST,
    MORNING_AFTER,
    equity_rows,
    landed_files,
    landed_rows,
    leftovers,
    listing,
    trading_days,
    write,
)
from tests.support.paths import SHARED_DATA
from tests.support.replays import (
    SECRET,
    minute_rows,
    option_rows,
    rich_market,
    run,
)
from trademl.errors import (
    ConfigError,
    DataError,
    NotEntitled,
    RateLimited,
    Rejected,
    SchemaDrift,
    StaleData,
    Unavailable,
)
from trademl.settings import Settings

SHARED = SHARED_DATA
MARKET_US, PAYLOADS = SHARED / "market_us", SHARED / "payloads" / "polygon"
GROUPED, DAYS, MINUTES = "massive/grouped_1d", "massive/aggs_1d", "massive/aggs_1m"
SPAN = {"start": FIRST, "end": LAST}
NAMES = {"symbols": ["AAA", "BBB", "BRK.B"]}
DAYS_OF = """
    select ticker, cast(t at time zone 'America/New_York' as date), o, h, l, c, v
    from landed order by all
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_waits):
    """No waits between tries; small pages, so that small markets have many."""
    monkeypatch.setattr(massive, "ROWS_PER_PAGE", 2)
    monkeypatch.setattr(massive_bars, "BASE_AGGREGATES_PER_PAGE", 7)
    monkeypatch.setattr(massive_options, "CONTRACTS_PER_PAGE", 5)


@pytest.fixture
def market(tmp_path):
    return rich_market(tmp_path / "market")


def served_days():
    return sorted(
        (r["symbol"], r["date"], r["open"], r["high"], r["low"], r["close"], float(r["volume"]))
        for r in equity_rows()
    )


def ask(server, path, key="any", **query):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.get(server.url + path, params=query, headers=headers)


# --- the whole market, one call a session


def test_the_market_lands_session_by_session(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "massive", "equities_bars_1d", **SPAN)
        assert (report.rows, report.calls, len(report.files)) == (60, 20, 20)
        assert run(server, data, "massive", "equities_bars_1d", **SPAN).calls == 0
    of = "select ticker, date, o, h, l, c, v from landed order by all"
    assert landed_rows(data, GROUPED, of) == served_days()
    # The time is the session's end: 21:00 UTC in winter, 20:00 in summer.
    hours = "select distinct date < date '2020-03-08', hour(t) from landed order by all"
    assert landed_rows(data, GROUPED, hours) == [(False, 20), (True, 21)]


def test_the_next_night_brings_the_sessions_before_along(market, data):
    thursday = datetime(2020, 3, 20, 1, tzinfo=UTC)
    with ReplayServer(market, thursday) as server:
        run(server, data, "massive", "equities_bars_1d", thursday, start=FIRST)
    with ReplayServer(market, MORNING_AFTER) as server:
        assert run(server, data, "massive", "equities_bars_1d").calls == 3
        assert run(server, data, "massive", "equities_bars_1d").calls == 0
    distinct = "select count(*), max(date) from (select distinct ticker, date from landed)"
    assert landed_rows(data, GROUPED, distinct) == [(60, LAST)]


def test_a_session_landed_a_moment_ago_is_not_brought_along(market, data):
    """As probes of single sessions ask, in any order."""
    days = [date(2020, 3, day) for day in (12, 9, 11)]
    with ReplayServer(market, MORNING_AFTER) as server:
        for again in (False, True):
            asked = {"data": data / str(again), "vendor": "massive", "refetch": again}
            asked["dataset"] = "equities_bars_1d"
            assert [run(server, **asked, start=day, end=day).calls for day in days] == [1, 1, 1]


def test_what_was_landed_before_a_limit_is_kept_and_not_asked_again(market, data):
    with (
        ReplayServer(market, MORNING_AFTER, "massive/limit=5") as server,
        pytest.raises(RateLimited, match="run again in 60 s, what is landed is kept"),
    ):
        run(server, data, "massive", "equities_bars_1d", **SPAN)
    assert len(landed_files(data, GROUPED)) == 5
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "massive", "equities_bars_1d", **SPAN)
    of = "select ticker, date, o, h, l, c, v from (select distinct * from landed) order by all"
    assert set(landed_rows(data, GROUPED, of)) == set(served_days())


def test_a_session_that_is_not_there_yet_is_stale_and_an_old_hole_is_named(market, data):
    hole, newest = date(2020, 3, 4), LAST
    kept = [row for row in equity_rows() if row["date"] not in (hole, newest)]
    write(market, "equities_daily", kept)
    with ReplayServer(market, MORNING_AFTER) as server:
        early = run(server, data, "massive", "equities_bars_1d", start=FIRST, end=date(2020, 3, 6))
        assert early.skipped == (f"massive has no bars of {hole}",)
        with pytest.raises(StaleData, match="no bars of 2020-03-20 yet"):
            run(server, data, "massive", "equities_bars_1d", **SPAN)
        # It is asked again, not taken for complete.
        with pytest.raises(StaleData):
            run(server, data, "massive", "equities_bars_1d", **SPAN)
    days = landed_rows(data, GROUPED, "select distinct date from landed order by 1")
    assert [day for (day,) in days] == [d for d in trading_days() if d not in (hole, newest)]


def test_the_market_takes_no_symbols_and_no_future(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(ConfigError, match="the whole market; leave --symbols away"):
            run(server, data, "massive", "equities_bars_1d", **NAMES)
        with pytest.raises(ConfigError, match="after the last complete session 2020-03-20"):
            run(server, data, "massive", "equities_bars_1d", start=date(2020, 3, 21))


# --- one ticker


def test_days_of_all_pages_land_exactly(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "massive", "equities_aggs_1d", **NAMES, **SPAN)
        assert (report.rows, report.calls) == (60, 9)
        assert run(server, data, "massive", "equities_aggs_1d", **NAMES, **SPAN).calls == 0
    assert landed_rows(data, DAYS, DAYS_OF) == served_days()
    hours = "select distinct t::date < date '2020-03-08', hour(t) from landed order by all"
    assert landed_rows(data, DAYS, hours) == [(False, 4), (True, 5)]


def test_minutes_land_exactly_in_utc(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "massive", "equities_bars_1m", symbols=["AAA", "BRK.B"], **SPAN_1M)
    of = "select ticker, timezone('America/New_York', t), o, v from landed order by all"
    wanted = sorted((r["symbol"], r["ts"], r["open"], float(r["volume"])) for r in minute_rows())
    assert landed_rows(data, MINUTES, of) == wanted


SPAN_1M = {"start": date(2020, 3, 6), "end": date(2020, 3, 13)}


def test_names_come_from_the_landed_listing(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(DataError, match="--vendor massive --dataset universe_pit` first"):
            run(server, data, "massive", "equities_aggs_1d", **SPAN)
        run(server, data, "massive", "universe_pit")
        assert run(server, data, "massive", "equities_aggs_1d", **SPAN).rows == 60


def test_an_unknown_ticker_is_named_and_the_others_land(market, data):
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(DataError, match="massive has no bars for NOPE; check"),
    ):
        run(server, data, "massive", "equities_aggs_1d", symbols=["NOPE", "AAA"], **SPAN)
    assert landed_rows(data, DAYS, "select distinct ticker from landed") == [("AAA",)]


# --- splits, dividends, listings


def test_splits_and_dividends_keep_ratios_and_cash(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "massive", "corp_actions_splits")
        run(server, data, "massive", "corp_actions_dividends")
        assert run(server, data, "massive", "corp_actions_splits").calls == 0
    of = "select ticker, execution_date, split_to / split_from from landed order by all"
    assert landed_rows(data, "massive/splits", of) == [
        ("AAA", date(2020, 3, 5), 1.5),
        ("BBB", date(2020, 3, 6), 0.2),
    ]
    of = "select ticker, ex_dividend_date, cash_amount, dividend_type from landed"
    assert landed_rows(data, "massive/dividends", of) == [("BRK.B", date(2020, 3, 10), 0.31, "CD")]


def test_events_are_paged_to_the_end_and_by_name(market, data):
    events = [
        {"symbol": symbol, "ex_date": day, "cash": 0.01 * place}
        for place, day in enumerate(trading_days(), start=1)
        for symbol in ("AAA", "BBB")
    ]
    write(market, "dividends", events)
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "massive", "corp_actions_dividends", symbols=["AAA"])
        assert (report.rows, report.calls) == (20, 10)
        window = {"start": date(2020, 3, 2), "end": date(2020, 3, 20)}
        report = run(server, data, "massive", "corp_actions_dividends", **window)
        assert (report.rows, report.calls) == (30, 15)


def test_a_split_is_told_from_its_publication_on(market, data):
    late = datetime(2020, 3, 12, 12, tzinfo=UTC)
    split = {"symbol": "AAA", "ex_date": date(2020, 3, 5), "ratio": 3.0, "published_at": late}
    write(market, "splits", [split])
    for clock, rows in ((late - timedelta(hours=13), 0), (late, 1)):
        with ReplayServer(market, clock) as server:
            assert run(server, data, "massive", "corp_actions_splits", clock).rows == rows


def test_listings_are_of_their_day(market, data):
    gone = date(2020, 3, 4)
    write(
        market,
        "equities_daily",
        [row for row in equity_rows() if row["symbol"] != "AAA" or row["date"] <= gone],
    )
    write(market, "listings", [listing("AAA", gone), listing("BBB"), listing("BRK.B")])
    found = {}
    with ReplayServer(market, MORNING_AFTER) as server:
        for day in (gone, date(2020, 3, 5)):
            run(server, data, "massive", "universe_pit", end=day)
        run(server, data, "massive", "delistings")
        assert run(server, data, "massive", "universe_pit", end=gone).calls == 0
        assert run(server, data, "massive", "universe_pit").calls == 1
    for day, ticker in landed_rows(data, "massive/tickers", "select date, ticker from landed"):
        found.setdefault(day, set()).add(ticker)
    assert found[gone] == {"AAA", "BBB", "BRK.B"}
    assert found[date(2020, 3, 5)] == {"BBB", "BRK.B"}
    of = "select ticker, active, (delisted_utc at time zone 'America/New_York')::date from landed"
    assert landed_rows(data, "massive/delisted_tickers", of) == [("AAA", False, gone)]


# --- options


def test_a_chain_lands_with_every_contract(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "massive", "options_chain", symbols=["AAA", "BRK.B", "NONE"])
    assert (report.rows, report.calls) == (24, 7)
    of = """
        select underlying_asset_ticker, details_expiration_date, details_strike_price,
            upper(left(details_contract_type, 1)), last_quote_bid, last_quote_ask
        from landed order by all
    """
    assert landed_rows(data, "massive/option_chain", of) == sorted(
        (r["underlier"], r["expiry"], r["strike"], r["cp_flag"], r["bid"] or 0.0, r["ask"])
        for r in option_rows()
        if r["ts"].day == 20
    )
    exact = "select distinct last_quote_last_updated, epoch_ns(vendor_ts) from landed"
    (times,) = landed_rows(data, "massive/option_chain", exact)
    assert times[0] == times[1] == 1584734400 * 10**9


# --- trouble


@pytest.mark.parametrize(
    ("dataset", "options", "calls", "seed"),
    [
        ("equities_bars_1d", SPAN, 20, 12),
        ("equities_aggs_1d", {**NAMES, **SPAN}, 9, 11),
        ("options_chain", {"symbols": ["AAA", "BRK.B"]}, 6, 11),
    ],
)
@pytest.mark.parametrize("kind", ["429", "5xx", "cut", "malformed", "duplicate_page", "shuffle"])
def test_passing_trouble_costs_calls_and_no_rows(market, data, kind, dataset, options, calls, seed):
    with ReplayServer(market, MORNING_AFTER, f"massive/{kind}:0.2;seed={seed}") as server:
        report = run(server, data, "massive", dataset, **options)
    assert report.rows == (24 if dataset == "options_chain" else 60)
    if kind not in ("duplicate_page", "shuffle"):
        assert report.calls > calls
    if dataset == "equities_aggs_1d":
        assert landed_rows(data, DAYS, DAYS_OF) == served_days()


@pytest.mark.parametrize(
    ("kind", "error"),
    [("429", RateLimited), ("5xx", Unavailable), ("cut", Unavailable), ("malformed", Unavailable)],
)
def test_trouble_that_stays_is_one_error_and_nothing_lands(market, data, kind, error):
    with ReplayServer(market, MORNING_AFTER, f"{kind}:1") as server:
        with pytest.raises(error) as caught:
            run(server, data, "massive", "corp_actions_splits")
        assert server.requests == 3
    assert "\n" not in str(caught.value)
    assert leftovers(data) == []


@pytest.mark.parametrize("dataset", ["equities_aggs_1d", "corp_actions_splits", "options_chain"])
def test_rows_of_another_ticker_are_refused(market, data, dataset):
    with (
        ReplayServer(market, MORNING_AFTER, "wrong_symbol:1") as server,
        pytest.raises(SchemaDrift, match="which was not asked"),
    ):
        run(server, data, "massive", dataset, symbols=["AAA"])
    assert leftovers(data) == []


def test_a_wrong_key_is_refused_and_never_shown(market, data):
    with (
        ReplayServer(market, MORNING_AFTER, keys={"massive": "another"}) as server,
        pytest.raises(
            Rejected, match="HTTP 401: Unknown API Key; check the massive keys"
        ) as caught,
    ):
        run(server, data, "massive", "corp_actions_splits")
    assert SECRET not in str(caught.value)
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(ConfigError, match="set MASSIVE_API_KEY"),
    ):
        run(server, data, "massive", "delistings", settings=Settings(_env_file=None))
    assert leftovers(data) == []


def test_a_plan_that_does_not_cover_is_told_from_a_wrong_key(market, data):
    later = MORNING_AFTER + timedelta(days=3 * 365)
    with ReplayServer(market, later, "massive/free=1") as server:
        with pytest.raises(NotEntitled, match="You are not entitled to this data"):
            run(server, data, "massive", "options_chain", symbols=["AAA"])
        with pytest.raises(NotEntitled, match="doesn't include this data timeframe"):
            run(server, data, "massive", "equities_bars_1d", later, **SPAN)
        assert server.requests == 2
    assert leftovers(data) == []


def test_no_key_is_in_anything_that_lands(market, data):
    with ReplayServer(market, MORNING_AFTER, keys={"massive": SECRET}) as server:
        run(server, data, "massive", "corp_actions_splits")
    for file in landed_files(data, "massive/splits"):
        assert SECRET.encode() not in file.read_bytes()
    (uri,) = landed_rows(data, "massive/splits", "select distinct source_uri from landed")[0]
    assert "cursor" not in uri
    assert "limit=2" in uri


# --- the wire


def test_massives_answers(market):
    day = "/v2/aggs/ticker/{}/range/1/day/2020-03-02/2020-03-06"
    grouped = "/v2/aggs/grouped/locale/us/market/stocks/2020-03-07"
    with ReplayServer(market, MORNING_AFTER) as server:
        bars = ask(server, day.format("AAA"), adjusted="false", limit=3).json()
        nothing = ask(server, day.format("NOPE"), adjusted="false").json()
        weekend = ask(server, grouped, adjusted="false").json()
        usual = ask(server, "/v3/reference/splits").json()
        refused = [
            ask(server, day.format("AAA"), key=""),
            ask(server, day.format("AAA")),
            ask(server, "/v2/aggs/ticker/AAA/range/1/day/x/2020-03-06", adjusted="false"),
            ask(server, "/v3/reference/splits", limit=1001),
            ask(server, "/v3/reference/splits", cursor="***"),
        ]
    assert next(bar["t"] for bar in bars["results"]) == 1583125200000
    assert (bars["resultsCount"], bars["ticker"], bars["adjusted"]) == (3, "AAA", False)
    assert bars["next_url"].startswith(f"https://api.massive.com{day.format('AAA')}?cursor=")
    assert "results" not in nothing
    assert nothing["resultsCount"] == weekend["resultsCount"] == 0
    assert [row["execution_date"] for row in usual["results"]] == ["2020-03-06", "2020-03-05"]
    assert [answer.status_code for answer in refused] == [401, 400, 400, 400, 400]


def client_of(*bodies):
    queue = list(bodies)

    def answer(request):
        return httpx.Response(200, json=queue.pop(0) if len(queue) > 1 else queue[0])

    return VendorClient("massive", "https://host", transport=httpx.MockTransport(answer))


def bars_body(**changes):
    bar = {"v": 1522034.5, "o": 40.3, "c": 40.52, "h": 41.44, "l": 40.1, "t": 1772514000000}
    said = {"ticker": "ZQXA", "adjusted": False, "status": "DELAYED", "resultsCount": 1}
    return {**said, "results": [bar], **changes}


def aggregates(*bodies):
    days = schema.DAYS
    with client_of(*bodies) as client:
        found = massive_bars.aggregates(client, days, ["ZQXA"], date(2026, 3, 2), date(2026, 3, 3))
        return pa.concat_tables([page.rows for page in found]).to_pylist()


def test_fractional_volume_and_absent_trades_are_known():
    (row,) = aggregates(bars_body())
    assert (row["v"], row["vw"], row["n"], row["otc"], row["extra"]) == (
        1522034.5,
        None,
        None,
        None,
        None,
    )
    assert row["t"] == row["vendor_ts"] == datetime(2026, 3, 3, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "error", "complaint"),
    [
        ({"adjusted": True}, SchemaDrift, "adjusted=True, raw ones were asked"),
        ({"resultsCount": 2}, Unavailable, "says 2 rows and sends 1"),
        ({"results": [{"t": 1.5}]}, SchemaDrift, "not a whole number"),
        ({"results": [{"t": 1772514000000}]}, SchemaDrift, "field o is absent"),
        ({"results": {"t": 1}}, SchemaDrift, "Expected `array"),
    ],
)
def test_what_cannot_be_trusted_is_refused(changes, error, complaint):
    with pytest.raises(error, match=complaint):
        aggregates(bars_body(**changes))


def test_a_vendor_that_sends_one_page_for_ever_is_given_up():
    url = "https://api.polygon.io/v2/aggs/ticker/ZQXA/range/1/day/1/2?cursor=x&apiKey=shown"
    with pytest.raises(Unavailable, match="over and over"):
        aggregates(bars_body(next_url=url))


def test_the_further_address_is_asked_on_our_host_and_without_its_key():
    asked = []

    def answer(request):
        asked.append(request.url)
        url = "https://api.polygon.io/v2/next?cursor=a%3D&apiKey=shown"
        return httpx.Response(200, json=bars_body(**({} if asked[1:] else {"next_url": url})))

    with VendorClient("massive", "https://h", transport=httpx.MockTransport(answer)) as client:
        span = (date(2026, 3, 2), date(2026, 3, 3))
        list(massive_bars.aggregates(client, schema.DAYS, ["ZQXA"], *span))
    assert str(asked[1]) == "https://h/v2/next?cursor=a%3D"


# --- recorded payloads and the real market


def recorded(name):
    return (PAYLOADS / f"{name}.json").read_bytes()


@pytest.mark.market_data
@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the market data folder is not there")
class TestRecorded:
    @pytest.mark.parametrize(
        ("name", "endpoint", "rows"),
        [
            ("v3_reference_splits", "massive/splits", 10),
            ("v3_reference_dividends", "massive/dividends", 10),
        ],
    )
    def test_events(self, name, endpoint, rows):
        body = massive.read_body(recorded(name), ENDPOINTS[endpoint])
        events = massive.splits if endpoint == "massive/splits" else massive.dividends
        last = {"results": body.results, "status": body.status}
        with client_of(last) as client:
            (page,) = list(events(client, [], date(2000, 1, 1), date(2026, 1, 1)))
        assert page.rows.num_rows == rows
        assert page.rows.column("extra").null_count == rows

    def test_a_chain(self):
        body = massive.read_body(recorded("v3_snapshot_options_AAPL"), schema.CHAIN)
        with client_of({"results": body.results, "status": "OK"}) as client:
            (page,) = list(massive_options.chain(client, ["AAPL"]))
        (row,) = page.rows.to_pylist()
        assert row["details_ticker"] == "O:AAPL230616C00150000"
        assert (row["last_quote_bid"], row["last_quote_ask_size"]) == (28.9, 209.0)
        assert row["last_quote_last_updated"] == 1651254260800059648
        assert row["extra"] == '{"last_trade_conditions":[209]}'

    def test_tickers(self):
        body = massive.read_body(recorded("v3_reference_tickers"), schema.TICKERS)
        with client_of({"results": body.results, "status": "OK"}) as client:
            (page,) = list(massive.tickers(client, date(2022, 4, 27)))
        assert page.rows.column("ticker").to_pylist() == ["A", "AA"]
        assert page.rows.column("extra").null_count == 2

    def test_adjusted_bars_are_refused(self):
        said = massive.read_body(
            recorded("v2_aggs_ticker_AAPL_range_1_day_2005-04-01_2005-04-04"), schema.DAYS
        )
        with pytest.raises(SchemaDrift, match="adjusted=True"):
            aggregates({"ticker": "AAPL", "adjusted": True, "results": said.results, "status": ""})


@pytest.mark.market_data
@pytest.mark.skipif(not MARKET_US.is_dir(), reason="the market data folder is not there")
def test_a_week_of_the_real_market(data, monkeypatch):
    monkeypatch.setattr(massive, "ROWS_PER_PAGE", 1000)
    span = {"start": date(2017, 12, 18), "end": date(2017, 12, 22)}
    with ReplayServer(MARKET_US, datetime(2017, 12, 30, 13, tzinfo=UTC)) as server:
        run(server, data, "massive", "equities_bars_1d", **span)
        run(server, data, "massive", "corp_actions_splits")
        run(server, data, "massive", "corp_actions_dividends")
    of = "select ticker, date, o, h, l, c, v from landed order by all"
    wanted = duckdb.sql(
        "select symbol, date, open, high, low, close, volume::double "
        f"from '{MARKET_US}/equities_daily.parquet' "
        f"where date between '{span['start']}' and '{span['end']}' order by all"
    ).fetchall()
    assert landed_rows(data, GROUPED, of) == wanted
    assert len(wanted) > 2000
    count = "select count(*) from landed"
    assert landed_rows(data, "massive/splits", count) == [(425,)]
    assert landed_rows(data, "massive/dividends", count) == [(23227,)]
