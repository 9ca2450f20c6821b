"""The connectors against the replay vendor, over loopback."""

import gzip
import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from functools import partial
from unittest import mock

import duckdb
import httpx
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.landing import windows
from ingest.sync import run_ingest
from ingest.transport.client import Banned, VendorClient
from ingest.vendors.alpaca import client as alpaca
from ingest.vendors.binance import client as binance
from simulator.replay.server import ReplayServer
from tests.support.markets import (
    LAST,
    MORNING_AFTER,
    SYMBOLS,
    crypto_rows,
    equity_rows,
    landed_files,
    landed_rows,
    leftovers,
    listing,
    small_market,
    trading_days,
    write,
)
from trademl.errors import (
    DataError,
    RateLimited,
    Rejected,
    SchemaDrift,
    StaleData,
    Unavailable,
)
from trademl.settings import Settings

KEYS = Settings(alpaca_key_id="test-key", alpaca_secret_key="hush-hush", _env_file=None)
EQUITIES, CRYPTO = "alpaca/bars_1d", "binance/klines_1d"
BARS_OF = """
    select symbol, cast(t at time zone 'America/New_York' as date) as day, o, h, l, c, v
    from landed order by all
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_waits):
    """No waits between tries; pages of seven rows, so that small markets have many."""
    monkeypatch.setattr(alpaca, "BARS_PER_PAGE", 7)
    monkeypatch.setattr(binance, "KLINES_PER_PAGE", 7)


@pytest.fixture
def market(tmp_path):
    return small_market(tmp_path / "market")


def run(server, data, vendor, dataset, clock=MORNING_AFTER, **options):
    chosen = {"settings": KEYS, "base_url": server.url, **options}
    return run_ingest(vendor, dataset, data_dir=data, clock=clock, **chosen)


def night(market, data, clock, faults="", **options):
    """Lands listings and bars of equities as a nightly run does."""
    with ReplayServer(market, clock, faults) as server:
        run(server, data, "alpaca", "assets", clock)
        return run(server, data, "alpaca", "equities_bars_1d", clock, **options)


def served_equities():
    return sorted(
        (r["symbol"], r["date"], r["open"], r["high"], r["low"], r["close"], float(r["volume"]))
        for r in equity_rows()
    )


# --- landing


def test_all_pages_of_all_symbols_land_exactly(market, data):
    report = night(market, data, MORNING_AFTER)
    assert report.rows == 60
    assert report.calls == 9
    assert landed_rows(data, EQUITIES, BARS_OF) == served_equities()


def test_session_dates_are_new_yorks_on_both_sides_of_summer_time(market, data):
    night(market, data, MORNING_AFTER)
    hours = landed_rows(
        data,
        EQUITIES,
        "select distinct t::date < date '2020-03-08', hour(t) from landed order by all",
    )
    assert hours == [(False, 4), (True, 5)]
    days = landed_rows(
        data,
        EQUITIES,
        "select distinct (t at time zone 'America/New_York')::date as d from landed order by d",
    )
    assert [day for (day,) in days] == trading_days()


def test_a_second_run_makes_no_call_and_no_file(market, data):
    sets = [
        ("alpaca", "assets"),
        ("alpaca", "equities_bars_1d"),
        ("alpaca", "corp_actions"),
        ("alpaca", "calendar"),
        ("binance", "crypto_filters"),
        ("binance", "crypto_bars_1d"),
    ]
    with ReplayServer(market, MORNING_AFTER) as server:
        first = [run(server, data, *names) for names in sets]
        assert all(report.rows and report.calls for report in first)
        requests, files = server.requests, leftovers(data)
        for names in sets:
            report = run(server, data, *names)
            assert (report.calls, report.files, report.rows) == (0, (), 0)
            assert report.skipped
        assert (server.requests, leftovers(data)) == (requests, files)


def test_the_next_night_asks_only_the_last_sessions_again(market, data):
    thursday, friday = datetime(2020, 3, 19, 22, tzinfo=UTC), datetime(2020, 3, 20, 22, tzinfo=UTC)
    night(market, data, thursday)
    report = night(market, data, friday)
    assert report.rows == 3 * 6
    newest = pq.read_metadata(landed_files(data, EQUITIES)[-1]).metadata
    assert newest[b"trademl_window_start"] == b"2020-03-13"
    assert newest[b"trademl_window_end"] == b"2020-03-20"
    distinct = "select count(*) from (select distinct symbol, t from landed)"
    assert landed_rows(data, EQUITIES, distinct) == [(60,)]


def test_a_new_name_gets_its_whole_history(market, data):
    night(market, data, datetime(2020, 3, 19, 22, tzinfo=UTC))
    rows = [*equity_rows(), *({**row, "symbol": "NEW"} for row in equity_rows()[:20])]
    write(market, "equities_daily", rows)
    night(market, data, MORNING_AFTER)
    found = landed_rows(data, EQUITIES, "select count(*) from landed where symbol = 'NEW'")
    assert found == [(20,)]


def test_a_market_without_equities_answers_no_data(tmp_path, data):
    write(tmp_path / "coins", "crypto_daily", crypto_rows())
    report = night(tmp_path / "coins", data, MORNING_AFTER)
    assert report.skipped == (f"0 symbols are complete through {LAST}",)


def test_symbols_must_come_from_somewhere(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(DataError, match="--vendor alpaca --dataset assets` first"):
            run(server, data, "alpaca", "equities_bars_1d")
        with pytest.raises(DataError, match="--vendor binance --dataset crypto_filters` first"):
            run(server, data, "binance", "crypto_bars_1d")


def test_a_window_bounds_what_is_asked(market, data):
    span = {"start": date(2020, 3, 2), "end": date(2020, 3, 6), "symbols": ["AAA"]}
    with ReplayServer(market, MORNING_AFTER) as server:
        assert run(server, data, "alpaca", "equities_bars_1d", **span).rows == 5
        assert run(server, data, "alpaca", "equities_bars_1d", **span).calls == 0


def test_many_symbols_are_split_into_bounded_fetches(market, data, monkeypatch):
    monkeypatch.setattr(windows, "SYMBOLS_PER_FETCH", 2)
    report = night(market, data, MORNING_AFTER)
    assert len(report.files) == 2
    assert landed_rows(data, EQUITIES, BARS_OF) == served_equities()


# --- what was known when


def test_nothing_later_than_the_clock_is_served(market, data):
    # 20:20 UTC on a summer-time Friday: closed at 20:00, published at 20:15, asked for from 20:16.
    night(market, data, datetime(2020, 3, 20, 20, 20, tzinfo=UTC))
    assert landed_rows(data, EQUITIES, "select max(t)::date from landed") == [(LAST,)]


@pytest.mark.parametrize("minute", [0, 14])
def test_a_session_is_not_there_before_it_is_published(market, tmp_path, minute):
    clock = datetime(2020, 3, 20, 20, minute, tzinfo=UTC)
    query = {"symbols": "AAA", "timeframe": "1Day", "start": "2020-03-19", "end": "2020-03-20"}
    with ReplayServer(market, clock) as server:
        found = ask(server, "/v2/stocks/bars", **query).json()["bars"]["AAA"]
    assert [bar["t"] for bar in found] == ["2020-03-19T04:00:00Z"]


def test_a_correction_lands_as_a_second_version(market, data):
    wrong = next(
        r for r in equity_rows() if r["symbol"] == "BBB" and r["date"] == date(2020, 3, 18)
    )
    published = datetime(2020, 3, 20, 6, tzinfo=UTC)
    write(
        market,
        "equities_daily_corrections",
        [{**wrong, "close": 99.5, "high": 100.0, "published_at": published}],
    )
    night(market, data, datetime(2020, 3, 19, 22, tzinfo=UTC))
    night(market, data, datetime(2020, 3, 20, 22, tzinfo=UTC))
    versions = landed_rows(
        data,
        EQUITIES,
        "select c, ingested_at::date from landed where symbol = 'BBB' "
        "and (t at time zone 'America/New_York')::date = date '2020-03-18' order by ingested_at",
    )
    assert versions == [(wrong["close"], date(2020, 3, 19)), (99.5, date(2020, 3, 20))]


def test_an_outage_is_stale_that_night_and_healed_the_next(market, data):
    recovered = datetime(2020, 3, 20, 12, tzinfo=UTC)
    write(market, "outages", [{"date": date(2020, 3, 19), "recovered_at": recovered}])
    night(market, data, datetime(2020, 3, 18, 22, tzinfo=UTC))
    with pytest.raises(StaleData, match="2020-03-18 is the newest landed, 2020-03-19 is over"):
        night(market, data, datetime(2020, 3, 19, 22, tzinfo=UTC))
    # An hour later it is asked again, not taken for complete.
    with pytest.raises(StaleData):
        night(market, data, datetime(2020, 3, 19, 23, tzinfo=UTC))
    night(market, data, datetime(2020, 3, 20, 22, tzinfo=UTC))
    distinct = "select count(*) from (select distinct symbol, t from landed)"
    assert landed_rows(data, EQUITIES, distinct) == [(60,)]


def test_a_delisted_and_a_renamed_name_are_inactive_and_their_bars_land(market, data):
    gone = [
        row for row in equity_rows() if row["symbol"] != "AAA" or row["date"] <= date(2020, 3, 4)
    ]
    renamed = [
        {**row, "symbol": "BNEW"}
        if row["symbol"] == "BBB" and row["date"] >= date(2020, 3, 9)
        else row
        for row in gone
    ]
    write(market, "equities_daily", renamed)
    write(
        market,
        "renames",
        [{"old_symbol": "BBB", "new_symbol": "BNEW", "effective_date": date(2020, 3, 9)}],
    )
    write(market, "listings", [listing("AAA", date(2020, 3, 4)), listing("BRK.B"), listing("BNEW")])
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "alpaca", "assets")
        run(server, data, "alpaca", "equities_bars_1d")
        run(server, data, "alpaca", "corp_actions")
    states = landed_rows(data, "alpaca/assets", "select symbol, status from landed order by 1")
    assert states == [
        ("AAA", "inactive"),
        ("BBB", "inactive"),
        ("BNEW", "active"),
        ("BRK.B", "active"),
    ]
    spans = landed_rows(
        data, EQUITIES, "select symbol, max(t)::date from landed group by all order by 1"
    )
    assert dict(spans)["AAA"] == date(2020, 3, 4)
    assert dict(spans)["BBB"] == date(2020, 3, 6)
    changes = landed_rows(
        data,
        "alpaca/corporate_actions",
        "select old_symbol, new_symbol, process_date from landed "
        "where action_type = 'name_changes'",
    )
    assert changes == [("BBB", "BNEW", date(2020, 3, 9))]


def test_actions_are_served_from_their_publication_on(market, data):
    late = datetime(2020, 3, 12, 12, tzinfo=UTC)
    split = {"symbol": "AAA", "ex_date": date(2020, 3, 5), "ratio": 1.5, "published_at": late}
    write(market, "splits", [split])
    query = "select action_type, symbol, new_rate / old_rate, ex_date from landed order by all"
    for clock in (late - timedelta(hours=13), late):
        with ReplayServer(market, clock) as server:
            run(server, data, "alpaca", "corp_actions", clock)
    assert landed_rows(data, "alpaca/corporate_actions", query)[-1] == (
        "forward_splits",
        "AAA",
        1.5,
        date(2020, 3, 5),
    )
    assert len(landed_files(data, "alpaca/corporate_actions")) == 2
    first, second = (
        pq.read_metadata(f).num_rows for f in landed_files(data, "alpaca/corporate_actions")
    )
    assert second == first + 1


def test_actions_keep_ratios_and_cash(market, data, monkeypatch):
    monkeypatch.setattr(alpaca, "ACTIONS_PER_PAGE", 1)
    with ReplayServer(market, MORNING_AFTER) as server:
        assert run(server, data, "alpaca", "corp_actions").calls == 3
    found = landed_rows(
        data,
        "alpaca/corporate_actions",
        "select action_type, symbol, new_rate, old_rate, rate, process_date from landed order by 6",
    )
    assert found == [
        ("forward_splits", "AAA", 3.0, 2.0, None, date(2020, 3, 5)),
        ("reverse_splits", "BBB", 1.0, 5.0, None, date(2020, 3, 6)),
        ("cash_dividends", "BRK.B", None, None, 0.31, date(2020, 3, 10)),
    ]


def test_a_calendar_in_new_york_wall_times(market, data):
    span = {"start": date(2020, 11, 25), "end": date(2020, 11, 30)}
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "alpaca", "calendar", **span)
    found = landed_rows(
        data, "alpaca/calendar", "select date, open, close, settlement_date from landed"
    )
    assert found == [
        (date(2020, 11, 25), "09:30", "16:00", date(2020, 11, 30)),
        (date(2020, 11, 27), "09:30", "13:00", date(2020, 12, 1)),
        (date(2020, 11, 30), "09:30", "16:00", date(2020, 12, 2)),
    ]


# --- crypto


def test_coins_land_up_to_the_last_full_day(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "binance", "crypto_filters")
        run(server, data, "binance", "crypto_bars_1d")
    found = landed_rows(
        data,
        CRYPTO,
        "select symbol, make_timestamp(open_time * 1000)::date, open::double, close::double, "
        "quote_volume::double, volume::double * close::double from landed order by all",
    )
    wanted = [row for row in crypto_rows() if row["date"] < MORNING_AFTER.date()]
    assert [row[:5] for row in found] == [
        (r["symbol"], r["date"], r["open"], r["close"], r["quote_volume"]) for r in wanted
    ]
    assert all(row[5] == pytest.approx(row[4]) for row in found)


def test_the_unfinished_bar_tells_no_more_than_its_opening(market):
    with ReplayServer(market, MORNING_AFTER) as server:
        rows = ask(server, "/api/v3/klines", symbol="BTCUSDT", interval="1d").json()
    opened = datetime.fromtimestamp(rows[-1][0] / 1000, UTC).date()
    assert opened == MORNING_AFTER.date()
    assert rows[-1][1] == rows[-1][2] == rows[-1][3] == rows[-1][4]
    assert float(rows[-1][5]) == 0


def test_a_stale_coin_market_is_told(market, data):
    write(
        market, "crypto_daily", [row for row in crypto_rows() if row["date"] <= date(2020, 3, 10)]
    )
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "binance", "crypto_filters")
        run(server, data, "binance", "crypto_bars_1d")
        with pytest.raises(StaleData, match="2020-03-10 is the newest landed, 2020-03-20 is over"):
            run(server, data, "binance", "crypto_bars_1d")
    states = landed_rows(data, "binance/exchange_info", "select distinct status from landed")
    assert states == [("BREAK",)]


# --- unknown symbols


@pytest.mark.parametrize(
    ("vendor", "dataset", "known", "endpoint"),
    [
        ("alpaca", "equities_bars_1d", "AAA", EQUITIES),
        ("binance", "crypto_bars_1d", "BTCUSDT", CRYPTO),
    ],
)
def test_an_unknown_symbol_is_named_and_the_others_land(
    market, data, vendor, dataset, known, endpoint
):
    with ReplayServer(market, MORNING_AFTER) as server:
        for _ in range(2):
            with pytest.raises(DataError, match=f"{vendor} has no bars for NOPE; check"):
                run(server, data, vendor, dataset, symbols=["NOPE", known])
        assert run(server, data, vendor, dataset, symbols=[known]).calls == 0
    assert landed_rows(data, endpoint, "select distinct symbol from landed") == [(known,)]


def test_a_malformed_symbol_is_named_too(market, data):
    with ReplayServer(market, MORNING_AFTER) as server, pytest.raises(DataError, match="A:B"):
        run(server, data, "alpaca", "equities_bars_1d", symbols=["A:B", "AAA"])
    assert landed_rows(data, EQUITIES, "select distinct symbol from landed") == [("AAA",)]


# --- faults

PASSING = ["429", "5xx", "cut", "malformed"]


@pytest.mark.parametrize("kind", PASSING)
def test_passing_trouble_costs_calls_and_no_rows(market, data, kind):
    report = night(market, data, MORNING_AFTER, faults=f"{kind}:0.2;seed=5;retry_after=0")
    assert report.calls > 9
    assert landed_rows(data, EQUITIES, BARS_OF) == served_equities()


def test_an_answer_that_never_comes_is_tried_again(market, data):
    patient = partial(VendorClient, timeout=0.3)
    with ReplayServer(market, MORNING_AFTER, "timeout:0.2;seed=5;hang=1") as server:
        run(server, data, "alpaca", "assets", make_client=patient)
        report = run(server, data, "alpaca", "equities_bars_1d", make_client=patient)
    assert report.calls > 9
    assert landed_rows(data, EQUITIES, BARS_OF) == served_equities()


@pytest.mark.parametrize(
    ("kind", "error"),
    [("429", RateLimited), ("5xx", Unavailable), ("cut", Unavailable), ("malformed", Unavailable)],
)
def test_trouble_that_stays_is_one_error_and_nothing_lands(market, data, kind, error):
    with ReplayServer(market, MORNING_AFTER, f"{kind}:1;retry_after=0") as server:
        with pytest.raises(error) as caught:
            run(server, data, "alpaca", "equities_bars_1d", symbols=["AAA"])
        assert server.requests == 3
    assert "\n" not in str(caught.value)
    assert leftovers(data) == []


def test_what_was_landed_before_trouble_is_kept_and_not_asked_again(market, data, monkeypatch):
    monkeypatch.setattr(windows, "SYMBOLS_PER_FETCH", 1)
    names = list(SYMBOLS)
    with ReplayServer(market, MORNING_AFTER, "limit=6") as server, pytest.raises(RateLimited):
        run(server, data, "alpaca", "equities_bars_1d", symbols=names)
    kept = landed_files(data, EQUITIES)
    assert 1 <= len(kept) < 3
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "alpaca", "equities_bars_1d", symbols=names)
    assert landed_files(data, EQUITIES)[: len(kept)] != []
    assert landed_rows(data, EQUITIES, BARS_OF) == served_equities()


def test_rows_of_another_symbol_are_refused(market, data):
    with (
        ReplayServer(market, MORNING_AFTER, "wrong_symbol:1") as server,
        pytest.raises(SchemaDrift, match="answered for AAAX, which was not asked"),
    ):
        run(server, data, "alpaca", "equities_bars_1d", symbols=["AAA"])
    assert leftovers(data) == []


PAGES = given(seed=st.integers(0, 10_000), page=st.integers(2, 25), shuffled=st.booleans())


def examples(count):
    return settings(
        derandomize=True,
        max_examples=count,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@examples(4)
@PAGES
def test_shuffled_and_repeated_pages_land_as_the_market(tmp_path_factory, seed, page, shuffled):
    land_troubled_pages(tmp_path_factory.mktemp("pages"), seed, page, shuffled)


@pytest.mark.accept
@examples(40)
@PAGES
def test_many_shuffled_and_repeated_pages(tmp_path_factory, seed, page, shuffled):
    land_troubled_pages(tmp_path_factory.mktemp("pages"), seed, page, shuffled)


def land_troubled_pages(folder, seed, page, shuffled):
    market = small_market(folder / "market")
    rates = "duplicate_page:0.3,shuffle:0.4" if shuffled else "duplicate_page:0.4"
    with (
        mock.patch.object(alpaca, "BARS_PER_PAGE", page),
        mock.patch.object(binance, "KLINES_PER_PAGE", page),
        mock.patch.object(alpaca, "_REPEATS_ALLOWED", 20),
        mock.patch.object(binance, "_REPEATS_ALLOWED", 20),
        ReplayServer(market, MORNING_AFTER, f"{rates};seed={seed}") as server,
    ):
        run(server, folder, "alpaca", "equities_bars_1d", symbols=list(SYMBOLS))
        run(server, folder, "binance", "crypto_bars_1d", symbols=["BTCUSDT", "ETHUSDT"])
    assert landed_rows(folder, EQUITIES, BARS_OF) == served_equities()
    coins = landed_rows(
        folder, CRYPTO, "select symbol, open_time // 86400000 from landed order by all"
    )
    epoch = date(1970, 1, 1)
    wanted = [r for r in crypto_rows() if r["date"] < MORNING_AFTER.date()]
    assert coins == sorted((r["symbol"], (r["date"] - epoch).days) for r in wanted)


# --- keys and wire formats


def ask(server, path, headers=None, **query):
    keys = (
        {"APCA-API-KEY-ID": "id", "APCA-API-SECRET-KEY": "secret"} if headers is None else headers
    )
    return httpx.get(server.url + path, params=query, headers=keys)


def test_wrong_keys_are_refused_and_never_shown(market, data):
    with (
        ReplayServer(market, MORNING_AFTER, keys={"test-key": "another"}) as server,
        pytest.raises(Rejected, match=r"HTTP 401: forbidden\.; check the alpaca keys") as caught,
    ):
        run(server, data, "alpaca", "assets")
    assert "hush-hush" not in str(caught.value)
    assert leftovers(data) == []


BAR_QUERY = {"symbols": "AAA", "timeframe": "1Day", "start": "2020-03-02", "end": "2020-03-06"}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"symbols": "ZQXA:NASDAQ"}, 400, "invalid symbol: ZQXA:NASDAQ"),
        ({"symbols": ""}, 400, "symbols is required"),
        ({"timeframe": "5Min"}, 400, "invalid timeframe: 5Min"),
        ({"limit": "10001"}, 400, "invalid limit: 10001"),
        ({"page_token": ""}, 400, "invalid page_token"),
        ({"page_token": "null"}, 400, "invalid page_token"),
        ({"start": "today"}, 400, "invalid time: today"),
    ],
)
def test_alpacas_refusals(market, change, status, message):
    with ReplayServer(market, MORNING_AFTER) as server:
        answer = ask(server, "/v2/stocks/bars", **{**BAR_QUERY, **change})
    assert (answer.status_code, answer.json()) == (status, {"message": message})


def test_alpacas_answers(market):
    with ReplayServer(market, MORNING_AFTER) as server:
        bars = ask(server, "/v2/stocks/bars", **{**BAR_QUERY, "symbols": "NOPE,AAA", "limit": "2"})
        nothing = ask(server, "/v2/stocks/bars", **{**BAR_QUERY, "symbols": "NOPE"}).json()
        missing = ask(server, "/v2/stocks/bars", headers={}, **BAR_QUERY)
        clock = ask(server, "/v2/clock").json()
        lost = ask(server, "/v2/nowhere")
    first = next(row for row in equity_rows() if row["date"] == date(2020, 3, 2))
    assert list(bars.json()["bars"]) == ["AAA"]
    bar = bars.json()["bars"]["AAA"][0]
    assert list(bar) == ["t", "o", "h", "l", "c", "v", "n", "vw"]
    assert bar["t"] == "2020-03-02T05:00:00Z"
    assert bar["n"] == first["volume"] // 100
    assert bar["vw"] == pytest.approx((first["high"] + first["low"] + first["close"]) / 3)
    assert isinstance(bars.json()["next_page_token"], str)
    assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= {
        name.title().replace("Ratelimit", "RateLimit") for name in bars.headers
    }
    assert nothing == {"bars": {}, "next_page_token": None}
    assert (missing.status_code, missing.json()) == (401, {"message": "forbidden."})
    assert clock["is_open"] is False
    assert clock["next_open"] == "2020-03-23T09:30:00-04:00"
    assert lost.status_code == 404


def test_the_free_plan_refuses_the_last_quarter_of_an_hour(market):
    clock = datetime(2020, 3, 20, 20, 20, tzinfo=UTC)
    with ReplayServer(market, clock, "free=1") as server:
        recent = ask(server, "/v2/stocks/bars", **{**BAR_QUERY, "end": "2020-03-20T20:06:00Z"})
        older = ask(server, "/v2/stocks/bars", **{**BAR_QUERY, "end": "2020-03-20T20:04:00Z"})
    assert recent.status_code == 403
    assert "does not permit querying recent SIP data" in recent.text
    assert older.status_code == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": "NOPEUSDT", "interval": "1d"}, -1121),
        ({"symbol": "BTCUSDT", "interval": "1D"}, -1120),
        ({"interval": "1d"}, -1102),
        ({"symbol": "btcusdt", "interval": "1d"}, -1100),
    ],
)
def test_binances_refusals(market, query, code):
    with ReplayServer(market, MORNING_AFTER) as server:
        answer = ask(server, "/api/v3/klines", headers={}, **query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_binances_weight_is_counted_and_ends_in_a_ban(market, data):
    with ReplayServer(market, MORNING_AFTER, "weight=5") as server:
        statuses = [
            ask(server, "/api/v3/klines", headers={}, symbol="BTCUSDT", interval="1d")
            for _ in range(6)
        ]
        assert [answer.status_code for answer in statuses] == [200, 200, 429, 429, 429, 418]
        assert statuses[1].headers["X-MBX-USED-WEIGHT-1M"] == "4"
        assert statuses[2].headers["Retry-After"].isdigit()
        before = server.requests
        with pytest.raises(Banned, match="IP banned"):
            run(server, data, "binance", "crypto_filters")
        assert server.requests == before + 1


def test_compressed_answers_land_the_same(market, data):
    night(market, data, MORNING_AFTER, faults="gzip=1")
    assert landed_rows(data, EQUITIES, BARS_OF) == served_equities()


def test_no_key_is_in_anything_that_lands(market, data):
    secretive = Settings(alpaca_key_id="AKPUBLIC", alpaca_secret_key="veryhidden", _env_file=None)
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "alpaca", "assets", settings=secretive)
    content = landed_files(data, "alpaca/assets")[0].read_bytes()
    rows = landed_rows(data, "alpaca/assets", "select * from landed")
    assert b"veryhidden" not in content
    assert "AKPUBLIC" not in str(rows)


def test_defects_json_and_unknown_files_do_not_disturb(market, data):
    (market / "defects.json").write_text(json.dumps([]))
    duckdb.sql("select 1 as x").write_parquet(str(market / "macro.parquet"))
    assert night(market, data, MORNING_AFTER).rows == 60


def test_bodies_are_kept_as_received_where_that_is_set(market, data):
    night(market, data, MORNING_AFTER, settings=KEYS.model_copy(update={"keep_bodies": True}))
    query = "select distinct payload_sha256 from landed"
    hashes = {digest for (digest,) in landed_rows(data, EQUITIES, query)}
    kept = {path.stem: path for path in (data / "bodies" / "alpaca").iterdir()}
    assert set(kept) == hashes
    for digest, path in kept.items():
        assert hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() == digest


def test_a_body_that_echoes_a_key_is_not_kept(data):
    kept = []
    answers = httpx.MockTransport(lambda request: httpx.Response(200, text=request.headers["key"]))
    client = VendorClient(
        "v", "http://v", headers={"key": "hush"}, on_body=kept.append, transport=answers
    )
    with client:
        assert client.get("/x", {}, bytes).value == b"hush"
    assert kept == []


def test_without_room_for_a_body_nothing_is_landed(market, data):
    data.mkdir(exist_ok=True)
    (data / "bodies").write_text("in the way")
    with pytest.raises(DataError, match="KEEP_BODIES"):
        night(market, data, MORNING_AFTER, settings=KEYS.model_copy(update={"keep_bodies": True}))
    assert landed_files(data, EQUITIES) == []
