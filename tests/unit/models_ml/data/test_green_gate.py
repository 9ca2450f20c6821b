from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from models_ml.data.green_gate import check_gates, left_out
from models_ml.profile import GateOverride, Gates, Universe
from tests.support.training_lakes import GATED, by_name, calendar, gates, ledger, weekdays
from trademl.errors import GateFailed
from trademl.lake.versions import Version

SESSIONS = 1000
DATES = weekdays(SESSIONS)
YEARS = 3.83
"""Back from the day after the 1000th weekday, this window begins within a week of the first."""


def version(as_of: str | None = None) -> Version:
    moment = as_of or f"{DATES[-1] + np.timedelta64(1, 'D')}T13:00:00Z"
    return Version("v000001", moment, 1, Path("unused"))


class Lake:
    """An attached in-memory catalog with the three tables that the gate reads."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("set timezone = 'UTC'")
        self.connection.execute("attach ':memory:' as lake")
        self.put("reference.calendars", calendar(DATES))
        self.put("seeds.model_gates", gates(YEARS))
        self.put("quality.partition_status", ledger(DATES))

    def put(self, name: str, table: pa.Table) -> None:
        self.connection.execute(f"create schema if not exists lake.{name.split('.')[0]}")
        self.connection.register("incoming", table)
        self.connection.execute(f"create or replace table lake.{name} as from incoming")

    def run(self, sql: str) -> None:
        self.connection.execute(sql)


@pytest.fixture
def lake() -> Iterator[Lake]:
    opened = Lake()
    yield opened
    opened.connection.close()


def refusal(lake: Lake, overrides: Gates | None = None, as_of: str | None = None) -> str:
    with pytest.raises(GateFailed) as caught:
        check_gates(lake.connection, version(as_of), "equities_xs", overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_complete_tables_pass(lake: Lake) -> None:
    checks = check_gates(lake.connection, version(), "equities_xs", None)
    assert [check.fraction for check in checks] == [1.0, 1.0, 1.0]
    assert {check.requirement.source for check in checks} == {"seed"}


def test_exactly_98_percent_trains(lake: Lake) -> None:
    lake.put("quality.partition_status", ledger(DATES, {GATED[0]: 0.98}))
    curated = check_gates(lake.connection, version(), "equities_xs", None)[0]
    assert (curated.green, curated.expected, curated.fraction) == (980, 1000, 0.98)


def test_97_9_percent_is_refused_and_the_table_named_with_its_numbers(lake: Lake) -> None:
    lake.put("quality.partition_status", ledger(DATES, {GATED[0]: 0.979}))
    message = refusal(lake)
    assert "curated/equities_ohlcv_adj: 0.9790 GREEN (979 of 1000 partitions" in message
    assert "needs 0.98" in message
    assert "corp_actions" not in message


def test_sparse_tables_need_99_percent(lake: Lake) -> None:
    lake.put("quality.partition_status", ledger(DATES, {GATED[2]: 0.985}))
    message = refusal(lake)
    assert "reference/delistings: 0.9850" in message
    assert "equities_ohlcv_adj" not in message


def test_amber_is_not_green(lake: Lake) -> None:
    lake.run(
        "update lake.quality.partition_status set status = 'AMBER' "
        f"where table_name = '{GATED[0]}' and dt >= '{DATES[-21]}'"
    )
    assert "0.9790 GREEN" in refusal(lake)


def test_a_table_without_any_row_is_red(lake: Lake) -> None:
    lake.run(f"delete from lake.quality.partition_status where table_name = '{GATED[1]}'")
    assert "reference/corp_actions: 0.0000 GREEN (0 of 0 partitions" in refusal(lake)


def test_partitions_that_the_ledger_does_not_list_count_as_red(lake: Lake) -> None:
    hole = f"dt between '{DATES[400]}' and '{DATES[420]}'"
    lake.run(f"delete from lake.quality.partition_status where {hole}")
    message = refusal(lake)
    assert "curated/equities_ohlcv_adj: 0.9790 GREEN (979 of 979 partitions, 21 not listed)" in (
        message
    )


def test_partitions_without_a_session_do_not_help(lake: Lake) -> None:
    lake.put("quality.partition_status", ledger(DATES, {GATED[0]: 0.979}))
    lake.run(
        "insert into lake.quality.partition_status "
        f"select '{GATED[0]}', '', dt, 'GREEN', 'NO_SESSION' from lake.quality.partition_status"
    )
    assert "979 of 1000 partitions" in refusal(lake)


def test_a_history_shorter_than_the_window_is_refused(lake: Lake) -> None:
    lake.put("seeds.model_gates", gates(15.0))
    message = refusal(lake)
    assert "curated/equities_ohlcv_adj: 0.25" in message
    assert "over 15 years" in message


def test_a_ledger_that_ended_long_ago_is_refused(lake: Lake) -> None:
    lake.run(f"delete from lake.quality.partition_status where dt > '{DATES[-30]}'")
    assert "29 not listed" in refusal(lake)


def test_a_profile_may_differ_openly(lake: Lake) -> None:
    lake.put("seeds.model_gates", gates(15.0))
    own = tuple(GateOverride(table, YEARS, 0.97) for table in GATED)
    checks = check_gates(
        lake.connection, version(), "equities_xs", Gates("a market of four years", own)
    )
    assert {check.requirement.source for check in checks} == {"profile"}
    assert "the profile's own; the seed says 15 years, 0.98" in checks[0].line()


def test_an_override_of_another_table_is_refused(lake: Lake) -> None:
    own = Gates("a typing mistake", (GateOverride("curated/equites", 1.0, 0.5),))
    assert "curated/equites" in refusal(lake, own)


def test_a_model_without_gates_is_refused(lake: Lake) -> None:
    with pytest.raises(GateFailed, match="declares no table for the model 'unknown'"):
        check_gates(lake.connection, version(), "unknown", None)


@pytest.mark.parametrize(
    "table", ["quality.partition_status", "seeds.model_gates", "reference.calendars"]
)
def test_a_version_without_its_tables_is_refused(lake: Lake, table: str) -> None:
    lake.run(f"drop table lake.{table}")
    assert table.split(".")[1] in refusal(lake)


def test_the_window_of_a_leap_day_begins_on_the_28th(lake: Lake) -> None:
    lake.put("seeds.model_gates", gates(1.0))
    checks = check_gates(lake.connection, version("2016-02-29T23:00:00Z"), "equities_xs", None)
    assert {check.window_start for check in checks} == {date(2015, 2, 28)}


TEN = {f"N{i}": 0 for i in range(10)}


def test_names_below_the_threshold_leave_by_name_and_the_rest_is_judged(lake: Lake) -> None:
    """One name without 30 % of its sessions drags all ten to 0.967, and used to stop everything."""
    lake.put("quality.partition_status", by_name(DATES, TEN | {"N3": 300, "N7": 30}))
    checks = check_gates(lake.connection, version(), "equities_xs", None)
    assert left_out(checks) == ("N3", "N7")
    curated = checks[0]
    assert (curated.names, curated.green, curated.expected) == (10, 8000, 8000)
    assert [(name.name, name.fraction) for name in curated.left_out] == [("N3", 0.7), ("N7", 0.97)]
    assert "; 8 of 10 names remain, at least 80% must" in curated.line()
    assert curated.names_line() == (
        "2 of 10 names leave the training universe, below 0.98 GREEN in "
        "curated/equities_ohlcv_adj: N3 0.7000 (700 of 1000), N7 0.9700 (970 of 1000)"
    )


def test_a_name_on_the_threshold_stays(lake: Lake) -> None:
    lake.put("quality.partition_status", by_name(DATES, TEN | {"N3": 20}))
    checks = check_gates(lake.connection, version(), "equities_xs", None)
    assert left_out(checks) == ()
    assert checks[0].names_line() == ""


def test_too_small_a_rest_is_refused_and_every_name_told(lake: Lake) -> None:
    lake.put("quality.partition_status", by_name(DATES, dict.fromkeys(TEN, 21)))
    message = refusal(lake)
    assert "0 of 10 names remain, at least 80% must" in message
    for name in TEN:
        assert f"{name} 0.9790 (979 of 1000)" in message
    lake.put("quality.partition_status", by_name(DATES, TEN | {f"N{i}": 21 for i in range(3)}))
    assert "7 of 10 names remain" in refusal(lake)
    own = Universe(min_names=0.7)
    assert len(left_out(check_gates(lake.connection, version(), "equities_xs", None, own))) == 3


def test_a_message_names_thirty_and_counts_the_others(lake: Lake) -> None:
    lake.put("quality.partition_status", by_name(DATES, {f"N{i:02d}": 500 for i in range(35)}))
    assert refusal(lake).count("(500 of 1000)") == 30
    assert "and 5 more" in refusal(lake)


def test_one_long_history_does_not_make_the_others_long(lake: Lake) -> None:
    """An old name fills every session of the window; the others are 50 sessions old."""
    young = {f"N{i}": 950 for i in range(1, 10)}
    lake.put("quality.partition_status", by_name(DATES, TEN, since=young))
    message = refusal(lake)
    assert "curated/equities_ohlcv_adj: 1.0000 GREEN" in message
    assert "1 of them reach back the whole window, the median 0.2 years, the shortest 0.2" in (
        message
    )
    assert "14% of the last session's names per session, at least 50% are needed" in message


def test_names_that_came_and_went_are_a_market(lake: Lake) -> None:
    """Half the names came within the window: three quarters of them a session."""
    half = {f"N{i}": 500 for i in range(5)}
    lake.put("quality.partition_status", by_name(DATES, TEN, since=half))
    depth = check_gates(lake.connection, version(), "equities_xs", None)[0].depth
    assert depth is not None
    assert depth.share == pytest.approx(0.75)
    assert depth.whole_window == 5
    assert depth.shortest_years == pytest.approx(1.91, abs=0.01)


def test_tables_of_events_have_no_names(lake: Lake) -> None:
    lake.run("update lake.quality.partition_status set symbol = null")
    checks = check_gates(lake.connection, version(), "equities_xs", None)
    assert [(check.names, check.depth) for check in checks] == [(0, None)] * 3
