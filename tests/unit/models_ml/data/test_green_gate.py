from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from models_ml.data.green_gate import check_gates
from models_ml.profile import GateOverride, Gates
from tests.support.training_lakes import GATED, calendar, gates, ledger, weekdays
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
        f"select '{GATED[0]}', dt, 'GREEN', 'NO_SESSION' from lake.quality.partition_status"
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
