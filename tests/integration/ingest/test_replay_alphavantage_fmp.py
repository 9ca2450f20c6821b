"""Alpha Vantage and FMP against the replay vendor, over loopback."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
import stamina

from ingest.control.tasks import Task
from ingest.landing import bookmarks
from ingest.node.planning.probes import compare
from ingest.transport import throttle
from ingest.transport.client import Exhausted, VendorClient
from ingest.vendors.alphavantage import client as alphavantage
from ingest.vendors.fmp import client as fmp
from ingest.vendors.registry import ENDPOINTS
from simulator.replay.server import ReplayServer
from simulator.replay.vendors import alphavantage as alphavantage_wire
from simulator.replay.vendors import fmp as fmp_wire
from tests.support.markets import (
    LAST,
    MORNING_AFTER,
    SYMBOLS,
    equity_rows,
    landed_files,
    landed_rows,
    leftovers,
    trading_days,
    write,
)
from tests.support.vendors import KEY, KEYS, listing_rows, run, wide_market
from trademl.errors import (
    ConfigError,
    DataError,
    NotEntitled,
    RateLimited,
    Rejected,
    SchemaDrift,
    Unavailable,
)
from trademl.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

WINDOW = {"start": date(2020, 2, 24), "symbols": ["AAA", "BRK.B"]}
AV_BARS, FMP_BARS = "alphavantage/time_series_daily", "fmp/eod_non_split_adjusted"
AV_BARS_OF = """
    select symbol, date, open::double, high::double, low::double, close::double, volume::double
    from landed order by all
"""
FMP_BARS_OF = """
    select symbol, date, "adjOpen", "adjHigh", "adjLow", "adjClose", volume from landed order by all
"""
TROUBLE = "429:0.1,5xx:0.15,cut:0.1,malformed:0.1,duplicate_page:0.1,shuffle:0.1;seed={}"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No waits between calls and tries."""
    monkeypatch.setattr(throttle.time, "sleep", lambda _seconds: None)
    with stamina.set_testing(True, attempts=8, cap=False):
        yield


@pytest.fixture
def market(tmp_path):
    return wide_market(tmp_path / "market")


def served(*symbols):
    """The market's bars, a share class as these vendors write it."""
    return sorted(
        (
            r["symbol"].replace(".", "-"),
            r["date"],
            r["open"],
            r["high"],
            r["low"],
            r["close"],
            float(r["volume"]),
        )
        for r in equity_rows()
        if r["symbol"] in symbols
    )


@pytest.mark.parametrize(
    ("vendor", "endpoint", "query"),
    [("alphavantage", AV_BARS, AV_BARS_OF), ("fmp", FMP_BARS, FMP_BARS_OF)],
)
def test_bars_land_as_the_market_has_them_and_once(market, data, vendor, endpoint, query):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, vendor, "equities_bars_1d", **WINDOW)
        assert run(server, data, vendor, "equities_bars_1d", **WINDOW).calls == 0
    assert landed_rows(data, endpoint, query) == served("AAA", "BRK.B")


@pytest.mark.parametrize(("vendor", "endpoint"), [("alphavantage", AV_BARS), ("fmp", FMP_BARS)])
def test_a_share_class_is_one_company_however_it_is_written(market, data, vendor, endpoint):
    """Asked as the vendor writes it, landed as it said, remembered as the lake writes it."""
    with ReplayServer(market, MORNING_AFTER) as server:
        for name in ("BRK.B", "BRK-B"):
            run(server, data, vendor, "equities_bars_1d", start=LAST, symbols=[name])
        assert server.requests == 1
        run(server, data, vendor, "corp_actions_dividends", symbols=["BRK.B"])
    assert landed_rows(data, endpoint, "select symbol from landed") == [("BRK-B",)]
    assert [found.symbols for found in bookmarks.landed(data, ENDPOINTS[endpoint])] == [{"BRK.B"}]
    paid = landed_rows(data, f"{vendor}/dividends", "select symbol from landed")
    assert paid == [("BRK-B",)]


def test_the_listing_of_a_vendor_names_symbols_of_ours(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "alphavantage", "universe_pit")
        run(server, data, "alphavantage", "equities_bars_1d", start=LAST)
        again = run(server, data, "alphavantage", "equities_bars_1d", start=LAST, symbols=["BRK.B"])
    assert again.calls == 0
    names = landed_rows(data, "alphavantage/listing_status_active", "select symbol from landed")
    assert ("BRK-B",) in names


def test_a_probe_finds_a_share_class_at_a_vendor_that_writes_it_otherwise(market, data):
    node = SimpleNamespace(data_dir=data)
    task = Task(1, "equities_bars_1d", "BRK.B", LAST, LAST, "QC_PROBE", 2, 0)
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "fmp", "equities_bars_1d", start=LAST, symbols=["BRK.B"])
        keys = Settings(alpaca_key_id="id", alpaca_secret_key="hush", _env_file=None)
        run(
            server, data, "alpaca", "equities_bars_1d", start=LAST, symbols=["BRK.B"], settings=keys
        )
    assert compare(node, task, "fmp").word == "OK"


@pytest.mark.parametrize(("vendor", "endpoint"), [("alphavantage", AV_BARS), ("fmp", FMP_BARS)])
def test_a_session_in_progress_is_not_landed(market, data, vendor, endpoint):
    clock = datetime(2020, 3, 20, 20, 30, tzinfo=UTC)
    with ReplayServer(market, clock) as server:
        run(server, data, vendor, "equities_bars_1d", clock, **WINDOW)
    newest = landed_rows(data, endpoint, "select max(date) from landed")
    assert newest == [(trading_days()[-2],)]


@pytest.mark.parametrize(("vendor", "endpoint"), [("alphavantage", AV_BARS), ("fmp", FMP_BARS)])
def test_an_unknown_name_is_told_and_the_others_land(market, data, vendor, endpoint):
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(DataError, match="no bars for NOPE"),
    ):
        run(server, data, vendor, "equities_bars_1d", start=LAST, symbols=["NOPE", "AAA"])
    assert landed_rows(data, endpoint, "select symbol from landed") == [("AAA",)]


@pytest.mark.parametrize("dataset", ["corp_actions_splits", "equities_bars_1d"])
@pytest.mark.parametrize("vendor", ["alphavantage", "fmp"])
def test_rows_of_another_name_are_refused(market, data, vendor, dataset):
    with (
        ReplayServer(market, MORNING_AFTER, "wrong_symbol:1") as server,
        pytest.raises(SchemaDrift, match="AAAX, which was not asked"),
    ):
        run(server, data, vendor, dataset, symbols=["AAA"])
    assert leftovers(data) == []


@pytest.mark.parametrize("seed", range(3))
def test_in_trouble_the_same_rows_land(market, data, seed):
    with ReplayServer(market, MORNING_AFTER, TROUBLE.format(seed)) as server:
        for vendor in ("alphavantage", "fmp"):
            run(server, data, vendor, "equities_bars_1d", **WINDOW)
            run(server, data, vendor, "delistings")
    assert landed_rows(data, AV_BARS, AV_BARS_OF) == served("AAA", "BRK.B")
    assert landed_rows(data, FMP_BARS, FMP_BARS_OF) == served("AAA", "BRK.B")
    for endpoint in ("alphavantage/listing_status_delisted", "fmp/delisted_companies"):
        names = landed_rows(data, endpoint, "select symbol from landed order by 1")
        assert names == [("OLD2",), ("OLD3",), ("OLD4",)]


@pytest.mark.parametrize("vendor", ["alphavantage", "fmp"])
def test_an_outage_is_no_limit_and_no_plan(market, data, vendor):
    with (
        ReplayServer(market, MORNING_AFTER, "5xx:1") as server,
        pytest.raises(Unavailable, match="HTTP 50"),
    ):
        run(server, data, vendor, "delistings")
    assert leftovers(data) == []


@pytest.mark.parametrize("vendor", ["alphavantage", "fmp"])
def test_a_wrong_key_is_rejected_and_never_shown(market, data, vendor):
    with (
        ReplayServer(market, MORNING_AFTER, keys={vendor: "another"}) as server,
        pytest.raises(Rejected, match=r"(?i)api ?key") as caught,
    ):
        run(server, data, vendor, "delistings")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("vendor", ["alphavantage", "fmp"])
def test_without_a_key_nothing_is_asked(market, data, vendor):
    none = type(KEYS.fmp_key)("")
    settings = KEYS.model_copy(update={"alphavantage_key": none, "fmp_key": none})
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(ConfigError, match="API_KEY"):
            run(server, data, vendor, "delistings", settings=settings)
        assert server.requests == 0


@pytest.mark.parametrize("vendor", ["alphavantage", "fmp"])
def test_no_key_in_any_landed_file(market, data, vendor):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, vendor, "equities_bars_1d", **WINDOW)
    assert report.files
    assert all(KEY.encode() not in path.read_bytes() for path in report.files)


# --- Alpha Vantage


def test_the_list_of_a_day_is_that_of_the_day(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        for day in (date(2020, 3, 2), date(2020, 3, 3), date(2020, 3, 20)):
            run(server, data, "alphavantage", "universe_pit", end=day)
            assert run(server, data, "alphavantage", "universe_pit", end=day).calls == 0
    listed = [symbol.replace(".", "-") for symbol in SYMBOLS]
    query = "select asked_date, list(symbol order by symbol) from landed group by 1 order by 1"
    assert landed_rows(data, "alphavantage/listing_status_active", query) == [
        (date(2020, 3, 2), [*listed, "OLD2", "OLD3", "OLD4"]),
        (date(2020, 3, 3), [*listed, "OLD3", "OLD4"]),
        (date(2020, 3, 20), listed),
    ]


def test_recorded_lists_come_before_those_of_the_listings(market, data):
    recorded = {
        "as_of": "2020-03-01",
        "symbol": "ZZZ",
        "name": "Zeta, Inc.",
        "exchange": "NYSE",
        "asset_type": "ETF",
        "ipo_date": None,
        "delisting_date": None,
        "status": "Active",
    }
    later = {**recorded, "as_of": "2020-03-30", "symbol": "LATER"}
    write(market, "listing_status_vintages", [recorded, later])
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "alphavantage", "universe_pit")
    query = 'select symbol, name, "assetType", "ipoDate" from landed'
    assert landed_rows(data, "alphavantage/listing_status_active", query) == [
        ("ZZZ", "Zeta, Inc.", "ETF", None)
    ]


def test_delisted_names_have_their_days(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "alphavantage", "delistings")
    query = 'select symbol, "delistingDate" from landed order by 1'
    gone = [(r["symbol"], r["last_bar_date"]) for r in listing_rows() if r["last_bar_date"]]
    assert landed_rows(data, "alphavantage/listing_status_delisted", query) == gone


def test_a_market_without_listings_has_no_list(tmp_path, data):
    (tmp_path / "empty").mkdir()
    with ReplayServer(tmp_path / "empty", MORNING_AFTER) as server:
        with pytest.raises(DataError, match="no active name as of 2020-03-20"):
            run(server, data, "alphavantage", "universe_pit")
        assert run(server, data, "alphavantage", "delistings").rows == 0


def test_actions_and_earnings_of_a_symbol(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "alphavantage", "corp_actions_splits", symbols=["AAA", "BBB"])
        run(server, data, "alphavantage", "corp_actions_dividends", symbols=["BRK.B"])
        run(server, data, "alphavantage", "earnings_history", symbols=["AAA", "BRK.B"])
    splits = "select symbol, effective_date, split_factor::double from landed order by all"
    assert landed_rows(data, "alphavantage/splits", splits) == [
        ("AAA", date(2020, 3, 5), 1.5),
        ("BBB", date(2020, 3, 6), 0.2),
    ]
    dividends = "select ex_dividend_date, record_date, amount from landed"
    assert landed_rows(data, "alphavantage/dividends", dividends) == [
        (date(2020, 3, 10), None, "0.31")
    ]
    reports = 'select count(*), count("reportedDate"), min("reportedDate") from landed'
    assert landed_rows(data, "alphavantage/earnings", reports) == [(10, 10, date(2020, 3, 2))]


def test_chains_are_asked_session_by_session_and_once(market, data):
    window = {"start": date(2020, 3, 18), "symbols": ["AAA"]}
    with ReplayServer(market, MORNING_AFTER) as server:
        assert run(server, data, "alphavantage", "options_chain", **window).calls == 3
        assert run(server, data, "alphavantage", "options_chain", **window).calls == 0
    query = "select date, type, strike, bid, ask, bid_size from landed order by all"
    assert landed_rows(data, "alphavantage/historical_options", query) == [
        (date(2020, 3, day), kind, strike, bid, "1.50", "10")
        for day in (19, 20)
        for kind in ("call", "put")
        for strike, bid in (("10.00", "1.25"), ("12.50", "0.00"))
    ]


def test_a_burst_with_status_200_is_a_limit(market, data):
    with (
        ReplayServer(market, MORNING_AFTER, "alphavantage/429:1") as server,
        pytest.raises(RateLimited, match=r"HTTP 200.*1 request per second.*run again in 2 s"),
    ):
        run(server, data, "alphavantage", "delistings")
    assert leftovers(data) == []


def test_the_days_calls_end_keeps_what_is_landed_and_is_not_asked_again(market, data, monkeypatch):
    monkeypatch.setattr(alphavantage_wire, "CALLS_A_DAY", 2)
    with ReplayServer(market, MORNING_AFTER, "alphavantage/free=1") as server:
        with pytest.raises(Exhausted, match=r"API key as \*\*\*") as caught:
            run(server, data, "alphavantage", "corp_actions_splits", symbols=["AAA", "BBB", "C"])
        assert server.requests == 3
    assert KEY not in str(caught.value)
    assert len(landed_files(data, "alphavantage/splits")) == 2
    with ReplayServer(market, MORNING_AFTER) as server:
        rest = run(server, data, "alphavantage", "corp_actions_splits", symbols=["AAA", "BBB", "C"])
    assert rest.calls == 1


@pytest.mark.parametrize(
    ("dataset", "options"),
    [("equities_bars_1d", {"start": date(2019, 1, 2)}), ("options_chain", {})],
)
def test_what_the_plan_does_not_cover_is_no_outage(market, data, dataset, options):
    with ReplayServer(market, MORNING_AFTER, "alphavantage/free=1") as server:
        with pytest.raises(NotEntitled, match="premium"):
            run(server, data, "alphavantage", dataset, symbols=["AAA"], **options)
        assert server.requests == 1


def test_a_compact_answer_that_does_not_reach_back_is_refused(market, data, monkeypatch):
    monkeypatch.setattr(alphavantage_wire, "COMPACT_ROWS", 10)
    monkeypatch.setattr(alphavantage, "COMPACT_ROWS", 10)
    monkeypatch.setattr(alphavantage, "sessions_between", lambda *_span: range(10))
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        VendorClient("alphavantage", server.url, query_keys={"apikey": KEY}) as client,
        pytest.raises(DataError, match="10 rows of AAA from 2020-03-09 on, 2020-02-24 was asked"),
    ):
        list(alphavantage.daily(client, ["AAA"], date(2020, 2, 24), LAST, MORNING_AFTER))


# --- FMP


def test_prices_beyond_the_cap_are_asked_in_further_windows(market, data, monkeypatch):
    monkeypatch.setattr(fmp_wire, "PRICES_CAP", 7)
    monkeypatch.setattr(fmp, "PRICES_CAP", 7)
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "fmp", "equities_bars_1d", **WINDOW)
    assert report.calls == 6
    assert landed_rows(data, FMP_BARS, FMP_BARS_OF) == served("AAA", "BRK.B")


def test_delisted_companies_are_read_to_the_empty_page(market, data, monkeypatch):
    monkeypatch.setattr(fmp_wire, "DELISTED_PER_PAGE", 2)
    with ReplayServer(market, MORNING_AFTER) as server:
        assert run(server, data, "fmp", "delistings").calls == 3
    query = 'select symbol, "delistedDate" from landed order by 1'
    gone = [(r["symbol"], r["last_bar_date"]) for r in listing_rows() if r["last_bar_date"]]
    assert landed_rows(data, "fmp/delisted_companies", query) == gone


def test_pages_that_share_rows_are_refused(market, data, monkeypatch):
    """A page that comes twice stands for one that never came."""
    monkeypatch.setattr(fmp_wire, "DELISTED_PER_PAGE", 2)
    with (
        ReplayServer(market, MORNING_AFTER, "fmp/duplicate_page:1") as server,
        pytest.raises(Unavailable, match="2 of 2 rows of a page a second time"),
    ):
        run(server, data, "fmp", "delistings")
    assert leftovers(data) == []


def test_full_calendars_are_asked_in_halves(market, data, monkeypatch):
    monkeypatch.setattr(fmp_wire, "CALENDAR_CAP", 5)
    monkeypatch.setattr(fmp, "CALENDAR_CAP", 5)
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "fmp", "earnings_calendar", start=date(2020, 3, 1), end=LAST)
    query = "select symbol, date from landed order by all"
    assert landed_rows(data, "fmp/earnings", query) == [
        (symbol, date(2020, 3, day)) for symbol in ("AAA", "BBB") for day in range(2, 12)
    ]


def test_a_day_that_is_full_alone_is_refused(market, data, monkeypatch):
    monkeypatch.setattr(fmp_wire, "CALENDAR_CAP", 2)
    monkeypatch.setattr(fmp, "CALENDAR_CAP", 2)
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(DataError, match="sent 2 rows for 2020-03-02 alone, the vendor's cap is 2"),
    ):
        run(server, data, "fmp", "earnings_calendar", start=date(2020, 3, 1), end=LAST)


def test_splits_longer_ago_than_90_days_are_not_lost(market, data):
    years = {"start": date(2019, 1, 1), "end": date(2020, 12, 31)}
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "fmp", "corp_actions_splits", **years)
        run(server, data, "fmp", "corp_actions_dividends", **years)
    splits = "select symbol, date, numerator / denominator from landed order by all"
    assert landed_rows(data, "fmp/splits", splits) == [
        ("AAA", date(2020, 3, 5), 1.5),
        ("BBB", date(2020, 3, 6), 0.2),
    ]
    dividends = 'select symbol, date, dividend, "recordDate" from landed'
    assert landed_rows(data, "fmp/dividends", dividends) == [
        ("BRK-B", date(2020, 3, 10), 0.31, None)
    ]


def test_statements_of_both_periods_with_utc_acceptance(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "fmp", "fundamentals_statements", symbols=["AAA"])
    assert report.calls == 6
    query = (
        'select period, date, revenue, "acceptedDate", vendor_ts::varchar from landed order by 2'
    )
    assert landed_rows(data, "fmp/income_statement", query) == [
        # Midnight means that the time is not known.
        ("Q2", date(2019, 6, 30), 24.0, "2020-03-12 00:00:00", None),
        ("Q3", date(2019, 9, 30), 25.0, "2020-02-05 16:07:41", "2020-02-05 21:07:41+00"),
        ("FY", date(2019, 12, 31), 110.0, "2020-03-10 16:00:00", "2020-03-10 20:00:00+00"),
    ]
    for endpoint in ("fmp/balance_sheet_statement", "fmp/cash_flow_statement"):
        assert landed_rows(data, endpoint, "select count(*) from landed") == [(3,)]


def test_statements_cut_at_the_limit_are_refused(market, data, monkeypatch):
    monkeypatch.setattr(fmp, "STATEMENTS_LIMIT", 2)
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(DataError, match="2 quarter statements of AAA, the most that were asked"),
    ):
        run(server, data, "fmp", "fundamentals_statements", symbols=["AAA"])
    assert leftovers(data) == []


def test_fmps_limit_comes_with_429_and_with_200(market, data):
    with (
        ReplayServer(market, MORNING_AFTER, "fmp/429:1") as server,
        pytest.raises(RateLimited, match=r"Limit Reach.*run again in 60 s"),
    ):
        run(server, data, "fmp", "delistings")
    assert leftovers(data) == []


def test_fmps_plan_is_no_outage(market, data, monkeypatch):
    monkeypatch.setattr(fmp_wire, "DELISTED_PER_PAGE", 2)
    with ReplayServer(market, MORNING_AFTER, "fmp/free=1") as server:
        with pytest.raises(NotEntitled, match="HTTP 402: Premium Query Parameter"):
            run(server, data, "fmp", "fundamentals_statements", symbols=["AAA"])
        with pytest.raises(NotEntitled, match="'page'"):
            run(server, data, "fmp", "delistings")
    assert leftovers(data) == []
