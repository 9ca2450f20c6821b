"""FRED and SEC EDGAR against the replay vendor, over loopback."""

from datetime import UTC, date, datetime, timedelta

import pytest
import stamina

from ingest.transport import throttle
from ingest.transport.client import Banned
from ingest.vendors.fred import client as fred
from simulator.replay.server import ReplayServer
from simulator.replay.vendors import fred as fred_wire
from simulator.replay.vendors import sec_edgar
from tests.support.markets import MORNING_AFTER, landed_rows, leftovers
from tests.support.paths import SHARED_DATA
from tests.support.vendors import (
    KEY,
    KEYS,
    REVISIONS,
    fact_rows,
    listing_rows,
    run,
    wide_market,
)
from trademl.errors import ConfigError, DataError, RateLimited, Rejected, SchemaDrift, Unavailable

pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

OPEN = date(9999, 12, 31)
ROWS = "select date, realtime_start, realtime_end, value from landed order by all"
GDPX = {"symbols": ["GDPX"]}
TROUBLE = "5xx:0.15,cut:0.1,malformed:0.1,duplicate_page:0.1,shuffle:0.1;seed={}"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No waits; pages of two rows and windows of two vintages, so that there are many."""
    monkeypatch.setattr(throttle.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(fred, "OBSERVATIONS_PER_PAGE", 2)
    monkeypatch.setattr(fred, "VINTAGE_DATES_PER_PAGE", 2)
    monkeypatch.setattr(fred, "VINTAGES_PER_WINDOW", 2)
    with stamina.set_testing(True, attempts=8, cap=False):
        yield


@pytest.fixture
def market(tmp_path):
    return wide_market(tmp_path / "market")


def true_history(today):
    """Per period, from when to when each value was current; equal ones in a row are one."""
    rows = []
    for period in sorted({day for values in REVISIONS.values() for day in values}):
        told = [(v, values[period]) for v, values in sorted(REVISIONS.items()) if period in values]
        told = [(vintage, value) for vintage, value in told if vintage <= today]
        kept = [told[n] for n in range(len(told)) if n == 0 or told[n][1] != told[n - 1][1]]
        ends = [vintage - timedelta(days=1) for vintage, _ in kept[1:]] + [OPEN]
        rows += [
            (period, vintage, end, "." if value is None else str(value))
            for (vintage, value), end in zip(kept, ends, strict=True)
        ]
    return sorted(rows)


# --- FRED


def test_windows_of_vintages_are_put_together_again(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "fred", "macro_vintages", **GDPX)
    assert landed_rows(data, "fred/observations", ROWS) == true_history(date(2020, 3, 21))


def test_one_window_and_many_land_the_same(market, data, tmp_path, monkeypatch):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "fred", "macro_vintages", **GDPX)
        monkeypatch.setattr(fred, "VINTAGES_PER_WINDOW", 1_000)
        run(server, tmp_path / "whole", "fred", "macro_vintages", **GDPX)
    whole = landed_rows(tmp_path / "whole", "fred/observations", ROWS)
    assert landed_rows(data, "fred/observations", ROWS) == whole


def test_the_next_landing_adds_only_new_vintages(market, data):
    early = datetime(2020, 3, 6, 13, tzinfo=UTC)
    with ReplayServer(market, early) as server:
        run(server, data, "fred", "macro_vintages", early, **GDPX)
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "fred", "macro_vintages", **GDPX)
    # The series goes 2.1, 2.2, 2.1 and loses a value: two rows, none invented by the window.
    assert report.rows == 2
    starts = "select distinct date, realtime_start, value from landed order by all"
    expected = sorted(
        (day, start, value) for day, start, _, value in true_history(date(2020, 3, 21))
    )
    assert landed_rows(data, "fred/observations", starts) == expected


def test_todays_vintage_is_asked_again_tomorrow(market, data):
    """At the clock a release of the day may still be out."""
    noon = datetime(2020, 3, 12, 18, tzinfo=UTC)
    with ReplayServer(market, noon) as server:
        run(server, data, "fred", "macro_vintages", noon, **GDPX)
        tomorrow = noon + timedelta(days=1)
        assert run(server, data, "fred", "macro_vintages", tomorrow, **GDPX).rows == 1
        assert run(server, data, "fred", "macro_vintages", tomorrow, **GDPX).calls == 0


def test_too_many_vintages_at_once_are_refused_in_one_line(market, data, monkeypatch):
    monkeypatch.setattr(fred_wire, "VINTAGE_CAP", 1)
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(Rejected, match="There are 2 vintage dates") as caught,
    ):
        run(server, data, "fred", "macro_vintages", **GDPX)
    assert KEY not in str(caught.value)
    assert leftovers(data) == []


def test_a_series_without_vintages_is_marked(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "fred", "macro_vintages", symbols=["SP500"])
    query = "select date, value, vintage_kind, realtime_start from landed order by all"
    assert landed_rows(data, "fred/observations", query) == [
        (date(2020, 2, 24), "24.0", "inferred", date(2020, 3, 21)),
        (date(2020, 3, 20), "20.0", "inferred", date(2020, 3, 21)),
    ]


def test_an_unknown_series_is_named_and_the_others_land(market, data):
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(DataError, match="no macro_vintages for NOPE"),
    ):
        run(server, data, "fred", "macro_vintages", symbols=["NOPE", "GDPX"])
    assert landed_rows(data, "fred/observations", "select distinct series_id from landed") == [
        ("GDPX",)
    ]


def test_a_release_in_the_evening_of_chicago_is_not_tomorrows(market, data):
    """At 03:00 UTC it is still the day before in Chicago; asking for UTC's day would be refused."""
    night = datetime(2020, 3, 5, 3, tzinfo=UTC)
    with ReplayServer(market, night) as server:
        run(server, data, "fred", "macro_vintages", night, **GDPX)
    assert landed_rows(data, "fred/observations", ROWS) == true_history(date(2020, 3, 4))


def test_vintage_dates_and_descriptions(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "fred", "macro_vintage_dates", **GDPX)
        run(server, data, "fred", "macro_series", **GDPX)
    found = landed_rows(data, "fred/vintage_dates", "select vintage_date from landed order by all")
    assert found == [(day,) for day in REVISIONS if day <= date(2020, 3, 21)]
    # 07:44:02-06 is Chicago's winter offset as the vendor writes it.
    described = landed_rows(
        data, "fred/series", "select id, frequency, vendor_ts::varchar from landed"
    )
    assert described == [("GDPX", "Quarterly", "2020-03-21 13:44:02+00")]


def test_fred_429_and_wrong_keys_are_told_apart(market, data):
    with ReplayServer(market, MORNING_AFTER, "fred/429:1", {"fred": KEY}) as server:
        with pytest.raises(RateLimited, match="run again in 20 s") as caught:
            run(server, data, "fred", "macro_vintages", **GDPX)
        assert caught.value.retry_after == 20
        for key in ("short", KEY[::-1]):
            keys = KEYS.model_copy(update={"fred_key": type(KEYS.fred_key)(key)})
            with pytest.raises(Rejected, match="api_key") as refused:
                run(server, data, "fred", "macro_vintages", settings=keys, **GDPX)
            assert key not in str(refused.value)


def test_the_key_is_in_no_landed_file(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "fred", "macro_vintages", **GDPX)
    assert all(KEY.encode() not in path.read_bytes() for path in report.files)
    uris = landed_rows(data, "fred/observations", "select distinct source_uri from landed")
    assert uris
    assert not any("api_key" in uri for (uri,) in uris)


@pytest.mark.parametrize("seed", range(3))
def test_fred_in_trouble_lands_the_same_rows(market, data, seed):
    with ReplayServer(market, MORNING_AFTER, TROUBLE.format(seed)) as server:
        run(server, data, "fred", "macro_vintages", **GDPX)
    assert landed_rows(data, "fred/observations", ROWS) == true_history(date(2020, 3, 21))


def test_macro_vintages_have_no_window(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        with pytest.raises(ConfigError, match="invent vintages"):
            run(server, data, "fred", "macro_vintages", start=date(2020, 1, 1), **GDPX)
        with pytest.raises(ConfigError, match="--symbols"):
            run(server, data, "fred", "macro_vintages")
        assert server.requests == 0


# --- SEC EDGAR


def known_facts(cik, today=date(2020, 3, 21)):
    return sorted(
        (r["concept"], r["val"], r["start"], r["filed"], r["accn"], r["frame"])
        for r in fact_rows()
        if r["cik"] == cik and r["filed"] <= today
    )


FACTS = 'select tag, val, "start", filed, accn, frame from landed order by all'


def test_facts_land_with_restatements_and_nothing_filed_later(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "sec_edgar", "fundamentals_facts", symbols=["CIK0000000011"])
    assert landed_rows(data, "sec_edgar/companyfacts", FACTS) == known_facts(11)
    assert len(known_facts(11)) == 3


def test_older_files_of_submissions_are_read_to_the_end(market, data, monkeypatch):
    monkeypatch.setattr(sec_edgar, "RECENT_FILINGS", 3)
    with ReplayServer(market, MORNING_AFTER) as server:
        report = run(server, data, "sec_edgar", "filings_index", symbols=["22"])
    assert report.calls == 3
    query = "select accessionNumber, filingDate from landed order by all"
    expected = sorted((r["accn"], r["filed"]) for r in fact_rows() if r["cik"] == 22)
    assert landed_rows(data, "sec_edgar/submissions", query) == expected


@pytest.mark.parametrize(("cik", "zone"), [("11", "UTC"), ("22", "America/New_York")])
def test_acceptance_times_are_read_in_the_filers_own_zone(market, data, cik, zone):
    """Both carry a Z; the replay's filings come at 06:30 and 17:10 New York."""
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "sec_edgar", "filings_index", symbols=[cik])
    query = "select distinct timezone('America/New_York', vendor_ts)::time::varchar from landed"
    times = {time for (time,) in landed_rows(data, "sec_edgar/submissions", query)}
    assert times == {"06:30:00", "17:10:00"}
    said = landed_rows(data, "sec_edgar/submissions", "select acceptanceDateTime from landed")
    assert all(text.endswith("Z") for (text,) in said)
    assert any("06:30:00" in text for (text,) in said) == (zone != "UTC")


def test_the_answer_for_another_company_is_refused(market, data):
    with ReplayServer(market, MORNING_AFTER, "wrong_symbol:1") as server:
        for dataset in ("fundamentals_facts", "filings_index", "companies"):
            with pytest.raises(SchemaDrift, match="answered for CIK 0000000012"):
                run(server, data, "sec_edgar", dataset, symbols=["11"])
    assert leftovers(data) == []


def test_removals_carry_their_notice(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "sec_edgar", "delistings", start=date(2019, 12, 1))
        assert run(server, data, "sec_edgar", "delistings", start=date(2019, 12, 1)).calls == 0
    query = """
        select issuer_name, date_filed, count(*), count(distinct cik), any_value(rule_provision)
        from landed group by all order by all
    """
    gone = [row for row in listing_rows() if row["last_bar_date"]]
    assert landed_rows(data, "sec_edgar/form_25", query) == [
        (row["name"], row["last_bar_date"] + timedelta(days=1), 2, 2, "17 CFR 240.12d2-2(a)(3)")
        for row in gone
    ]
    assert landed_rows(data, "sec_edgar/form_25", "select distinct form_type from landed") == [
        ("25-NSE",)
    ]


def test_tickers_name_ciks(market, data):
    with ReplayServer(market, MORNING_AFTER) as server:
        run(server, data, "sec_edgar", "company_tickers")
        with pytest.raises(ConfigError, match="lists no OLD2"):
            run(server, data, "sec_edgar", "companies", symbols=["OLD2"])
        # The market's filers and its listings do not know each other: the CIK has no facts.
        run(server, data, "sec_edgar", "fundamentals_facts", symbols=["aaa", "brk.b"])
    tickers = landed_rows(data, "sec_edgar/company_tickers", "select ticker from landed order by 1")
    assert tickers == [("AAA",), ("BBB",), ("BRK-B",)]


def test_an_unnamed_caller_and_a_fast_one_are_told_apart(market, data):
    with ReplayServer(market, MORNING_AFTER, "sec_edgar/429:1") as server:
        with pytest.raises(Banned, match=r"Rate Threshold .*do not ask again for 600 s") as caught:
            run(server, data, "sec_edgar", "fundamentals_facts", symbols=["11"])
        assert (server.requests, caught.value.retry_after) == (1, 600.0)
        nameless = KEYS.model_copy(update={"sec_user_agent": "python"})
        with pytest.raises(ConfigError, match="SEC_USER_AGENT"):
            run(server, data, "sec_edgar", "companies", settings=nameless, symbols=["11"])
        assert server.requests == 1


def test_a_company_that_does_not_exist_is_named(market, data):
    with (
        ReplayServer(market, MORNING_AFTER) as server,
        pytest.raises(DataError, match="no filings_index for 0000000099"),
    ):
        run(server, data, "sec_edgar", "filings_index", symbols=["99", "11"])
    assert landed_rows(data, "sec_edgar/submissions", "select distinct cik from landed") == [
        ("0000000011",)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_edgar_in_trouble_lands_the_same_rows(market, data, seed):
    with ReplayServer(market, MORNING_AFTER, TROUBLE.format(seed)) as server:
        run(server, data, "sec_edgar", "fundamentals_facts", symbols=["11"])
        run(server, data, "sec_edgar", "delistings", start=date(2020, 1, 1))
    assert landed_rows(data, "sec_edgar/companyfacts", FACTS) == known_facts(11)
    assert landed_rows(data, "sec_edgar/form_25", "select count(*) from landed") == [(6,)]


def test_an_outage_is_unavailable(market, data):
    with ReplayServer(market, MORNING_AFTER, "5xx:1") as server:
        for vendor, dataset in (("fred", "macro_vintages"), ("sec_edgar", "companies")):
            with pytest.raises(Unavailable, match="HTTP 50"):
                run(server, data, vendor, dataset, symbols=["11"])
    assert leftovers(data) == []


def test_an_empty_market_answers_no_data(tmp_path, data):
    (tmp_path / "empty").mkdir()
    with ReplayServer(tmp_path / "empty", MORNING_AFTER) as server:
        with pytest.raises(DataError, match="no macro_vintages for GDPX"):
            run(server, data, "fred", "macro_vintages", **GDPX)
        assert run(server, data, "sec_edgar", "delistings", start=date(2020, 1, 1)).rows == 0
        assert run(server, data, "sec_edgar", "fundamentals_facts", symbols=["11"]).rows == 0


# --- the recorded market


MARKET_US = SHARED_DATA / "market_us"
recorded = pytest.mark.skipif(not MARKET_US.exists(), reason="no recorded market beside this")


@pytest.mark.market_data
@recorded
def test_every_vintage_of_the_recorded_market_lands(data, monkeypatch):
    """On every day the value that was current is the market's, though equal ones are merged."""
    monkeypatch.setattr(fred, "VINTAGES_PER_WINDOW", 40)
    monkeypatch.setattr(fred, "VINTAGE_DATES_PER_PAGE", 10_000)
    monkeypatch.setattr(fred, "OBSERVATIONS_PER_PAGE", 100_000)
    names, clock = ["GDPC1", "RGDP_US", "GACDISA066MSFRBNY"], datetime(2017, 12, 30, 13, tzinfo=UTC)
    with ReplayServer(MARKET_US, clock) as server:
        run(server, data, "fred", "macro_vintages", clock, symbols=names)
    market = f"read_parquet('{MARKET_US / 'macro_vintages.parquet'}')"
    query = f"""
        with told as (
            select * from {market} where list_contains({names}, series_id)
                and realtime_start <= date '2017-12-30'
        )
        select count(*), count(*) filter (where landed.value::double = told.value)
        from told left join landed
            on landed.series_id = told.series_id
            and landed.date = told.observation_date
            and told.realtime_start between landed.realtime_start and landed.realtime_end
    """
    (counts,) = landed_rows(data, "fred/observations", query)
    assert counts[0] == counts[1] > 6_000
    overlaps = """
        select count(*) from (
            select realtime_start <= lag(realtime_end) over (
                partition by series_id, date order by realtime_start
            ) as is_overlap from landed
        ) where is_overlap
    """
    assert landed_rows(data, "fred/observations", overlaps) == [(0,)]


@pytest.mark.market_data
@recorded
def test_the_recorded_facts_land_as_they_are(data):
    clock = datetime(2017, 12, 30, 13, tzinfo=UTC)
    with ReplayServer(MARKET_US, clock) as server:
        run(server, data, "sec_edgar", "fundamentals_facts", clock, symbols=["320193"])
    columns = 'taxonomy, {}, unit, "start", "end", val, fy, fp, form, filed, accn, frame'
    market = f"read_parquet('{MARKET_US / 'sec_companyfacts.parquet'}')"
    query = f"""
        with told as (
            select {columns.format("concept")} from {market}
            where cik = 320193 and filed <= date '2017-12-30'
        )
        select (select count(*) from landed), (select count(*) from told),
            (select count(*) from (from told except all select {columns.format("tag")} from landed))
    """
    (counts,) = landed_rows(data, "sec_edgar/companyfacts", query)
    assert counts == (13_712, 13_712, 0)
