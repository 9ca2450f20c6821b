import csv
from dataclasses import replace
from datetime import date, timedelta

import pytest

from ingest.catalog.capabilities import REGISTRY_FILE, Registry, canonical_vendor, read_capabilities
from ingest.catalog.routing import RoutingFacts, route, route_window
from ingest.node import providers
from ingest.node.planning.tracked import LISTINGS, TRACKED
from ingest.vendors.registry import DATASETS, FILLING, VENDORS
from tests.support.queues import capability, registry
from trademl import api
from trademl.errors import ConfigError

TODAY = date(2026, 3, 2)
ROWS = read_capabilities()
FREE = Registry.of(ROWS)
ALL = Registry.of(ROWS, paid={row.vendor for row in ROWS})
DATASETS_OF_ROWS = sorted({row.dataset for row in ROWS})
SPEC_COLUMNS = ["dataset", "vendor", "endpoint", "hard_rpm", "soft_daily_cap", "burst_limit"]


def vendors(dataset, asof=TODAY, universe=("A", "B"), **options):
    options = {"today": TODAY, "registry": FREE, **options}
    return [provider.vendor for provider in route(dataset, asof, universe, **options)]


@pytest.mark.parametrize("dataset", DATASETS_OF_ROWS)
def test_the_order_is_that_of_the_registry(dataset):
    rows = sorted(ALL.of_dataset(dataset), key=lambda row: row.priority)
    old = TODAY - timedelta(days=1)
    able = [row.vendor for row in rows if row.serves(old, TODAY, TODAY)]
    assert vendors(dataset, old, registry=ALL) == able


def test_the_file_has_the_columns_of_the_specification_first_and_notes_last():
    with open(REGISTRY_FILE, newline="") as file:
        header = next(csv.reader(file))
    assert [*header[:7], header[-1]] == [*SPEC_COLUMNS, "priority", "notes"]


def test_a_vendor_with_a_daily_limit_has_it_on_every_row_but_those_asked_name_by_name():
    caps = {(row.vendor, row.dataset): row.soft_daily_cap for row in ROWS}
    assert caps.pop(("alphavantage", "earnings_history")) == 20
    assert caps.pop(("fmp", "fundamentals_statements")) == 215
    assert {cap for (vendor, _), cap in caps.items() if vendor == "alphavantage"} == {25}
    assert {cap for (vendor, _), cap in caps.items() if vendor == "fmp"} == {250}
    assert FREE.limits("massive").rpm == 5


WITHOUT_CONNECTOR = {("alpaca", "paper_trading"): "orders of the broker, nothing that lands"}
BESIDE_THE_REGISTRY = {
    ("alphavantage", "corp_actions_dividends"): "whether amounts are as paid is not known",
    ("exchange_calendars", "sessions"): "a library, without limits",
    ("file", "earnings_dates"): "a person's file",
    ("file", "index_membership"): "a person's file",
    ("file", "sectors"): "a person's file",
    ("fred", "macro_series"): "descriptions, asked by hand",
    ("massive", "equities_aggs_1d"): "the whole market's days come in one call",
    ("sec_edgar", "companies"): "descriptions, asked by hand",
}


def test_every_row_has_a_connector_and_every_connector_a_row():
    """A row that nothing serves is routed to for ever; so is nobody to a dataset without a row."""
    rows = {(row.vendor, row.dataset) for row in ROWS}
    assert {vendor for vendor, _ in rows} <= VENDORS.keys()
    assert {pair for pair in rows if not providers.can_fill(*pair)} == set(WITHOUT_CONNECTOR)
    served = {
        (vendor, FILLING[vendor, name].name) for vendor, name in rows if (vendor, name) in FILLING
    }
    assert set(DATASETS) - served == set(BESIDE_THE_REGISTRY)


def test_declarations_agree_with_one_another():
    logical = set(DATASETS_OF_ROWS)
    facts = {pair: one for pair, one in FILLING.items() if one.feeds_lake or one.is_second_opinion}
    assert {name for _, name in facts} <= logical
    for (vendor, name), one in FILLING.items():
        where = f"{vendor} {name}"
        assert one.endpoint.vendor == vendor, where
        assert not (one.feeds_lake and one.is_second_opinion), where
        assert not one.is_second_opinion or one.bar_columns, where
        assert not (one.tracking and one.is_stand_in), where
    tracked = [one.dataset for one in TRACKED]
    assert len(set(tracked)) == len(tracked), "two vendors govern one dataset"
    assert len({one.tracking.turn for one in TRACKED}) == len(TRACKED)
    assert {name for (_, name), one in FILLING.items() if one.is_stand_in} <= set(tracked)


def test_what_the_node_keeps_up_to_date_and_where_it_lands():
    """The whole table, as it is spread over the vendors' folders: a change of it is a decision."""
    places = {one.dataset: [place.path for place in one.endpoints] for one in TRACKED}
    expected = {
        "assets": ["alpaca/assets"],
        "crypto_filters": ["binance/exchange_info"],
        "company_tickers": ["sec_edgar/company_tickers"],
        "calendar": ["alpaca/calendar"],
        "corp_actions_splits": ["alpaca/corporate_actions"],
        "equities_bars_1d": ["alpaca/bars_1d"],
        "crypto_bars_1d": ["binance/klines_1d"],
        "options_chain": [
            "alpaca/option_snapshots",
            "finnhub/option_chain",
            "massive/option_chain",
        ],
        "equities_bars_1m": ["alpaca/bars_1m", "massive/aggs_1m"],
        "delistings": [
            "sec_edgar/form_25",
            "alphavantage/listing_status_delisted",
            "fmp/delisted_companies",
            "massive/delisted_tickers",
        ],
        "universe_pit": ["alphavantage/listing_status_active", "massive/tickers"],
        "earnings_calendar": ["finnhub/earnings_calendar", "fmp/earnings"],
        "macro_vintages": ["fred/observations"],
        "macro_vintage_dates": ["fred/vintage_dates"],
        "filings_index": ["sec_edgar/submissions"],
        "fundamentals_facts": ["sec_edgar/companyfacts"],
        "fundamentals_statements": ["fmp/cash_flow_statement"],
        "earnings_history": ["alphavantage/earnings"],
    }
    assert places == expected
    assert {name: place.path for name, place in LISTINGS.items()} == {
        "assets": "alpaca/assets",
        "crypto_filters": "binance/exchange_info",
        "company_tickers": "sec_edgar/company_tickers",
    }


def test_a_changed_priority_changes_the_order():
    first, second = (replace(row, uniqueness=0.0) for row in FREE.of_dataset("equities_bars_1m"))
    asof = TODAY - timedelta(days=10)
    assert vendors("equities_bars_1m", asof, registry=registry(first, second)) == [
        "alpaca",
        "massive",
    ]
    turned = registry(replace(first, priority=2), replace(second, priority=1))
    assert vendors("equities_bars_1m", asof, registry=turned) == ["massive", "alpaca"]


def test_a_changed_file_changes_the_order(tmp_path):
    text = REGISTRY_FILE.read_text()
    changed = text.replace("options/snapshots/{underlying},200,50000,10,2", "x,200,50000,10,9")
    assert changed != text
    (tmp_path / "registry.csv").write_text(changed)
    read = Registry.of(read_capabilities(tmp_path / "registry.csv"))
    assert vendors("options_chain") == ["alpaca", "finnhub"]
    assert vendors("options_chain", registry=read) == ["finnhub", "alpaca"]


@pytest.mark.parametrize(
    ("age", "able"),
    [
        (0, ["alpaca"]),  # the others deliver a day later
        (1, ["massive", "alpaca", "fmp", "alphavantage"]),
        (140, ["massive", "alpaca", "fmp", "alphavantage"]),
        (141, ["massive", "alpaca", "fmp"]),
        (730, ["massive", "alpaca", "fmp"]),
        (731, ["alpaca", "fmp"]),
        (365 * 12, ["fmp"]),
    ],
)
def test_who_does_not_reach_the_date_is_left_out(age, able):
    assert vendors("equities_bars_1d", TODAY - timedelta(days=age)) == able


def test_a_window_has_to_be_served_whole():
    def able(start, end):
        found = route_window("equities_bars_1d", start, end, (), TODAY, FREE)
        return [provider.vendor for provider in found]

    edge = TODAY - timedelta(days=730)
    assert "massive" in able(edge, TODAY)
    assert "massive" not in able(edge - timedelta(days=1), TODAY)
    assert "massive" not in able(edge, TODAY + timedelta(days=1))
    assert able(date(2015, 12, 31), date(2016, 1, 5)) == ["fmp"]


def test_snapshots_have_no_past_and_calendars_have_a_future():
    assert vendors("options_chain", TODAY - timedelta(days=1)) == []
    assert vendors("options_chain", TODAY - timedelta(days=1), registry=ALL) == ["alphavantage"]
    assert vendors("calendar", TODAY + timedelta(days=200)) == ["alpaca"]
    assert vendors("macro_vintages", TODAY + timedelta(days=1)) == []


def test_paid_plans_are_asked_only_where_they_are_paid_for():
    assert vendors("options_chain") == ["alpaca", "finnhub"]
    paid = Registry.of(ROWS, paid=["polygon"])
    assert vendors("options_chain", registry=paid) == ["massive", "alpaca", "finnhub"]


def test_who_has_filled_the_partition_goes_behind_who_has_not():
    one, two = capability("one"), capability("two", priority=2)
    both = registry(one, two)

    def order(**green):
        known = RoutingFacts(green=green)
        return vendors("equities_bars_1d", registry=both, known=known)

    assert order() == ["one", "two"]
    assert order(one={"A", "B", "C"}) == ["two", "one"]
    assert order(one={"A", "B"}, two={"A", "B"}) == ["one", "two"]
    assert order(one={"C"}) == ["one", "two"]


def test_the_score_is_the_sum_of_its_parts():
    rows = registry(
        capability("one", uniqueness=1.0, priority=2),
        capability("two", uniqueness=0.5, priority=4, delay_days=3, soft_daily_cap=100),
        capability("three", priority=1),
    )
    known = RoutingFacts(green={"three": {"A"}}, spent={"two": 85})
    asof = TODAY - timedelta(days=5)
    found = route("equities_bars_1d", asof, ["A", "B"], today=TODAY, registry=rows, known=known)
    assert [(provider.vendor, provider.score) for provider in found] == [
        ("one", 3 + 2 + 1 + 1 + 0.5),
        ("two", 1.5 + 2 + 0.5 + 0.2 + 0.25),
        ("three", 0 + 1 + 1 + 1 - 2 + 1),
    ]


def test_equals_go_by_name():
    assert vendors("equities_bars_1d", registry=registry(capability("b"), capability("a"))) == [
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    ("dataset", "asof", "able"),
    [
        ("equities_bars_1d", TODAY, ["alpaca"]),  # the others deliver a day later
        ("equities_bars_1d", date(2024, 12, 31), ["massive", "alpaca", "fmp"]),
        ("equities_bars_1d", date(2015, 1, 2), ["fmp"]),
        ("options_chain", date(2015, 1, 2), []),
        ("earnings_calendar", date(2015, 1, 2), ["fmp"]),
        ("earnings_calendar", date(2026, 3, 20), ["finnhub", "fmp"]),
    ],
)
def test_the_public_route_asks_today_for_data_of_another_day(
    monkeypatch, tmp_path, dataset, asof, able
):
    monkeypatch.setenv("TRADEML_DATA", str(tmp_path))
    monkeypatch.setenv("TRADEML_CLOCK", f"{TODAY}T12:00:00Z")
    assert [provider.vendor for provider in api.route(dataset, asof, ["AAPL"])] == able


def test_what_a_plan_reaches_moves_with_the_day_of_asking(monkeypatch, tmp_path):
    monkeypatch.setenv("TRADEML_DATA", str(tmp_path))

    def able(clock):
        monkeypatch.setenv("TRADEML_CLOCK", clock)
        found = api.route("equities_bars_1d", date(2024, 12, 31), ["AAPL"])
        return [provider.vendor for provider in found]

    assert "massive" in able("2026-12-31T00:00:00Z")
    assert "massive" not in able("2027-01-01T00:00:00Z")


def test_an_unknown_dataset_is_refused_with_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"'tea' is not a dataset of the registry; there are: assets, calendar"
    ):
        vendors("tea")


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("AV", "alphavantage"), ("alpha_vantage", "alphavantage"), ("Polygon", "massive"), ("x", "x")],
)
def test_vendors_have_one_name(name, canonical):
    assert canonical_vendor(name) == canonical


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",5,5000,1,1,free,0.5,,730", ",five,5000,1,1,free,0.5,,730", r"csv:2 is not a capability"),
        (",5,5000,1,1,free,0.5,,730", ",0,5000,1,1,free,0.5,,730", r"csv:2 is not a capability"),
        (",5,5000,1,1,free,0.5,,730", ",5,5000,1,1,gold,0.5,,730", r"csv:2 is not a capability"),
        (
            "equities_bars_1d,alpaca",
            "equities_bars_1d,massive",
            "equities_bars_1d of massive twice",
        ),
    ],
)
def test_a_row_that_is_not_as_declared_is_refused(tmp_path, old, new, message):
    path = tmp_path / "registry.csv"
    path.write_text(REGISTRY_FILE.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        read_capabilities(path)


def test_a_missing_registry_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_capabilities(tmp_path / "none.csv")
