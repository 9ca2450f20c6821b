"""Alpaca's minute bars and option snapshots against the replay vendor, over loopback."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import duckdb
import httpx
import pytest

from ingest.landing import windows
from ingest.vendors.alpaca import client as alpaca
from ingest.vendors.alpaca import options as alpaca_options
from simulator.replay.server import ReplayServer
from tests.support.markets import MORNING_AFTER, landed_files, landed_rows, leftovers
from tests.support.paths import SHARED_DATA
from tests.support.replays import SECRET, minute_rows, option_rows, rich_market, run
from trademl.errors import (
    ConfigError,
    NotEntitled,
    RateLimited,
    Rejected,
    SchemaDrift,
    Unavailable,
)

MINUTES, OPTIONS = "alpaca/bars_1m", "alpaca/option_snapshots"
MARKET_US = SHARED_DATA / "market_us"
FRIDAY = {"start": date(2020, 3, 6), "end": date(2020, 3, 13), "symbols": ["AAA", "BRK.B"]}
NEW_YORK = ZoneInfo("America/New_York")
MINUTES_OF = (
    "select symbol, timezone('America/New_York', t), o, h, l, c, v from landed order by all"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_waits):
    """No waits between tries; small pages, so that small markets have many."""
    monkeypatch.setattr(alpaca, "BARS_PER_PAGE", 5)
    monkeypatch.setattr(alpaca_options, "SNAPSHOTS_PER_PAGE", 5)


@pytest.fixture
def market(tmp_path):
    return rich_market(tmp_path / "market")


def served_minutes():
    return sorted(
        (r["symbol"], r["ts"], r["open"], r["high"], r["low"], r["close"], float(r["volume"]))
        for r in minute_rows()
    )


def test_minutes_of_all_pages_land_exactly_and_in_utc(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "alpaca", "equities_bars_1m", **FRIDAY)
        assert (report.rows, report.calls) == (32, 7)
        assert run(server, data, "alpaca", "equities_bars_1m", **FRIDAY).calls == 0
    assert landed_rows(data, MINUTES, MINUTES_OF) == served_minutes()
    hours = "select distinct t::date, hour(t) from landed where symbol = 'AAA' order by all limit 2"
    assert landed_rows(data, MINUTES, hours) == [(date(2020, 3, 6), 9), (date(2020, 3, 6), 14)]
    # 19:59 in New York is the next day in UTC in winter, not in summer.
    last = "select max(t) from landed where t < '2020-03-10'"
    assert landed_rows(data, MINUTES, last)[0][0].astimezone(UTC) == datetime(
        2020, 3, 7, 0, 59, tzinfo=UTC
    )


def test_a_window_too_long_for_one_fetch_is_cut_without_loss(market, data, monkeypatch):
    monkeypatch.setattr(windows, "ROWS_PER_FETCH", 3 * 960)
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "alpaca", "equities_bars_1m", **FRIDAY)
        assert len(landed_files(data, MINUTES)) == 4
        assert run(server, data, "alpaca", "equities_bars_1m", **FRIDAY).calls == 0
    assert landed_rows(data, MINUTES, MINUTES_OF) == served_minutes()


@pytest.mark.parametrize(("minute", "newest"), [(31, 30), (32, 31)])
def test_a_minute_is_served_when_it_is_over(market, minute, newest):
    clock = datetime(2020, 3, 13, 9, minute, tzinfo=NEW_YORK)
    keys = {"APCA-API-KEY-ID": "id", "APCA-API-SECRET-KEY": "secret"}
    query = {"symbols": "AAA", "timeframe": "1Min", "start": "2020-03-13", "end": "2020-03-13"}
    with ReplayServer(market, clock) as server:
        found = httpx.get(server.url + "/v2/stocks/bars", params=query, headers=keys).json()
    assert found["bars"]["AAA"][-1]["t"] == f"2020-03-13T13:{newest}:00Z"


def test_the_evenings_minutes_are_waited_for(market, data):
    # 20:00 in New York is over at 00:00 UTC; with 16 minutes of lag it is complete at 00:16.
    names = {"symbols": ["AAA"], "start": date(2020, 3, 13)}
    early, late = datetime(2020, 3, 14, 0, 15, tzinfo=UTC), datetime(2020, 3, 14, 0, 16, tzinfo=UTC)
    with ReplayServer(market, early) as server, pytest.raises(ConfigError, match="2020-03-12"):
        run(server, data, "alpaca", "equities_bars_1m", early, **names)
    with ReplayServer(market, late, "free=1") as server:
        assert run(server, data, "alpaca", "equities_bars_1m", late, **names).rows == 8


def test_without_minutes_there_are_none(tmp_path, data):
    (tmp_path / "empty").mkdir()
    with ReplayServer(tmp_path / "empty", MORNING_AFTER) as server:
        assert run(server, data, "alpaca", "options_chain", symbols=["AAA"]).rows == 0
        with pytest.raises(Exception, match="has no bars for AAA"):
            run(server, data, "alpaca", "equities_bars_1m", symbols=["AAA"], start=FRIDAY["start"])


CHAIN = """
    select option_symbol, latest_quote_bp, latest_quote_ap, latest_quote_bs, latest_quote_as
    from landed order by all
"""


def served_chain(day=20):
    return sorted(
        (
            f"{r['underlier'].replace('.', '')}{r['expiry']:%y%m%d}{r['cp_flag']}"
            f"{int(r['strike'] * 1000):08d}",
            r["bid"] or 0.0,
            r["ask"],
            r["bid_size"],
            r["ask_size"],
        )
        for r in option_rows()
        if r["ts"].day == day
    )


def test_a_chain_lands_with_the_last_quote_of_every_contract(market, data):
    names = {"symbols": ["AAA", "BRK.B", "NONE"]}
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "alpaca", "options_chain", **names)
        assert (report.rows, report.calls) == (24, 7)
        assert run(server, data, "alpaca", "options_chain", **names).calls == 0
    assert landed_rows(data, OPTIONS, CHAIN) == served_chain()
    times = landed_rows(data, OPTIONS, "select distinct latest_quote_t, vendor_ts from landed")
    assert times[0][0] == "2020-03-20T20:00:00.000000000Z"
    assert times[0][1].astimezone(UTC) == datetime(2020, 3, 20, 20, tzinfo=UTC)


def test_a_chain_is_told_as_it_was_at_the_clock(market, data):
    clock = datetime(2020, 3, 20, 13, tzinfo=UTC)
    with ReplayServer(market, clock) as server:
        run(server, data, "alpaca", "options_chain", clock, symbols=["AAA", "BRK.B"])
    assert landed_rows(data, OPTIONS, CHAIN) == served_chain(day=19)


def test_chains_need_names_and_contracts_of_others_are_refused(market, data):
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(ConfigError, match="name some with --symbols"),
    ):
        run(server, data, "alpaca", "options_chain")
    with (
        ReplayServer(market, MORNING_AFTER, "wrong_symbol:1") as server,
        pytest.raises(SchemaDrift, match="answered with ZZQW200320C00037500, AAA was asked"),
    ):
        run(server, data, "alpaca", "options_chain", symbols=["AAA"])
    assert leftovers(data) == []


@pytest.mark.parametrize("dataset", ["equities_bars_1m", "options_chain"])
@pytest.mark.parametrize("kind", ["429", "5xx", "cut", "malformed", "duplicate_page", "shuffle"])
def test_passing_trouble_costs_calls_and_no_rows(market, data, kind, dataset):
    faults = f"{kind}:0.25;seed=6;retry_after=0"
    window = FRIDAY if dataset == "equities_bars_1m" else {"symbols": ["AAA", "BRK.B"]}
    with ReplayServer(market, MORNING_AFTER, faults) as server:
        report = run(server, data, "alpaca", dataset, **window)
    untroubled = 7 if dataset == "equities_bars_1m" else 6
    assert kind in ("duplicate_page", "shuffle") or report.calls > untroubled
    if dataset == "equities_bars_1m":
        assert landed_rows(data, MINUTES, MINUTES_OF) == served_minutes()
    else:
        assert landed_rows(data, OPTIONS, CHAIN) == served_chain()


@pytest.mark.parametrize(("kind", "error"), [("429", RateLimited), ("5xx", Unavailable)])
def test_trouble_that_stays_is_one_error(market, data, kind, error):
    with (
        ReplayServer(market, MORNING_AFTER, f"alpaca/{kind}:1;retry_after=0") as server,
        pytest.raises(error) as caught,
    ):
        run(server, data, "alpaca", "options_chain", symbols=["AAA"])
    assert "\n" not in str(caught.value)
    assert leftovers(data) == []


def test_a_plan_that_does_not_cover_is_told_from_a_wrong_key(market, data, monkeypatch):
    with ReplayServer(market, MORNING_AFTER, keys={"test-key": "another"}) as server:
        with pytest.raises(Rejected, match="check the alpaca keys") as caught:
            run(server, data, "alpaca", "options_chain", symbols=["AAA"])
        assert SECRET not in str(caught.value)
    with (
        ReplayServer(market, datetime(2020, 3, 13, 20, tzinfo=UTC), "alpaca/free=1") as server,
        pytest.raises(NotEntitled, match="recent SIP data; the plan or the place"),
    ):
        run(server, data, "alpaca", "equities_bars_1m", **FRIDAY)


@pytest.mark.market_data
@pytest.mark.skipif(not MARKET_US.is_dir(), reason="the market data folder is not there")
class TestRealMarket:
    def test_minutes(self, data, monkeypatch):
        monkeypatch.setattr(alpaca, "BARS_PER_PAGE", 1000)
        window = {"start": date(2013, 10, 4), "end": date(2013, 10, 11)}
        with ReplayServer(MARKET_US, datetime(2014, 6, 10, 13, tzinfo=UTC)) as server:
            run(server, data, "alpaca", "equities_bars_1m", symbols=["AIG", "BAC", "IBM"], **window)
        wanted = duckdb.sql(
            f"select symbol, ts, open, high, low, close, volume::double "
            f"from '{MARKET_US}/equities_minute.parquet' "
            "where symbol in ('AIG', 'BAC', 'IBM') order by all"
        ).fetchall()
        assert landed_rows(data, MINUTES, MINUTES_OF) == wanted
        assert len(wanted) == 8590

    def test_chains(self, data, monkeypatch):
        monkeypatch.setattr(alpaca_options, "SNAPSHOTS_PER_PAGE", 1000)
        clock = datetime(2014, 6, 7, 13, tzinfo=UTC)
        with ReplayServer(MARKET_US, clock) as server:
            report = run(server, data, "alpaca", "options_chain", clock, symbols=["AAPL", "TWX"])
        assert report.rows == 2352 + 184


PAYLOADS = MARKET_US.parent / "payloads" / "alpaca"


@pytest.mark.market_data
@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the market data folder is not there")
def test_a_recorded_chain():
    body = (PAYLOADS / "historical_option_data__get_option_chain.json").read_bytes()
    (row,) = alpaca_options.read_snapshots(body).rows.to_pylist()
    assert row["option_symbol"] == "AAPL240503P00155000"
    assert (row["latest_quote_bp"], row["latest_quote_ap"]) == (0.32, 0.35)
    assert row["latest_quote_t"] == "2024-04-25T20:00:00.259610112Z"
    assert row["greeks_delta"] == pytest.approx(-0.0696, abs=1e-4)
    assert row["extra"] is None
