"""Stage gating: what a stage holds is counted, and the next one begins at 98 % of both datasets."""

from datetime import date, datetime, time, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pyarrow as pa
import pytest
from click.testing import CliRunner

from ingest.control.pipeline_runs import pipeline_runs
from ingest.node.daemon import plan
from ingest.node.planning.audit import audit
from ingest.node.stage_file import Stage, StageRule, read_stage, stage_path, write_stage
from ingest.node.stages import gate as stage_gate
from ingest.node.stages.coverage import Coverage, coverage
from ingest.node.stages.gate import GATE, gate
from ingest.node.stages.missing_history import MISSING_HISTORY
from simulator.replay.server import ReplayServer
from tests.support.markets import (
    FIRST,
    LAST,
    MORNING_AFTER,
    small_market,
    trading_days,
    write,
)
from tests.support.nodes import ALL_DAYS, Steps, cover, make_node, publish, red, tasks
from tests.support.replays import KEYS, run
from trademl.cli.node import node_group
from trademl.clock import iso

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

DAYS, MINUTES = "equities_bars_1d", "equities_bars_1m"
TUESDAY, WEDNESDAY = date(2020, 3, 17), date(2020, 3, 18)
END = LAST + timedelta(days=1)
RULES = [StageRule(2, {DAYS: 1, MINUTES: 1}), StageRule(4, {DAYS: 2, MINUTES: 2})]
BELOW, ABOVE = 350, 352
"""Minutes of a session of 390, just under and over nine tenths."""


def minutes(symbol, day, count):
    """So many minutes from 09:30 on, New York time."""
    return [
        {
            "symbol": symbol,
            "ts": datetime.combine(day, time(9, 30)) + timedelta(minutes=number),
            **dict.fromkeys(("open", "high", "low", "close"), 10.0),
            "volume": 100,
        }
        for number in range(count)
    ]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def market(tmp_path):
    return small_market(tmp_path / "market")


@pytest.fixture
def serve(market, data, monkeypatch):
    """A node of stage 0, AAA and BBB; whose minutes of two days are landed from rows given."""
    monkeypatch.setattr(stage_gate, "read_rules", lambda: RULES)
    servers = []

    def begin(rows):
        if rows:
            write(market, "equities_minute", rows)
        servers.append(ReplayServer(market, MORNING_AFTER).__enter__())
        starts = {DAYS: FIRST, MINUTES: TUESDAY}
        write_stage(data, Stage(0, WEDNESDAY + timedelta(days=1), starts, ("AAA", "BBB")))
        node = make_node(data, servers[0], Steps())
        for symbol in ("AAA", "BBB") if rows else ():
            span = {"start": TUESDAY, "end": WEDNESDAY, "symbols": [symbol]}
            run(servers[0], data, "alpaca", MINUTES, **span)
        return node

    yield begin
    for server in servers:
        server.__exit__(None, None, None)


def full(count=390):
    return [
        row
        for symbol in ("AAA", "BBB")
        for day in (TUESDAY, WEDNESDAY)
        for row in minutes(symbol, day, count)
    ]


def universe(*ranked):
    """A universe in which symbols are as liquid as their place says, the first one the most."""
    rows = [
        {
            "symbol": symbol,
            "session_date": LAST,
            "is_let_in": True,
            "is_listed": True,
            "is_eligible": True,
            "adv60_usd": float(len(ranked) - place),
        }
        for place, symbol in enumerate(ranked)
    ]
    return {"reference.universe": pa.Table.from_pylist(rows)}


def test_minutes_are_green_within_bounds_and_days_as_the_ledger_says(serve, data):
    rows = minutes("AAA", TUESDAY, BELOW) + minutes("AAA", WEDNESDAY, ABOVE)
    node = serve(rows + minutes("BBB", WEDNESDAY, 390))
    publish(data, red("AAA", 5))
    sessions = 2 * sum(day <= WEDNESDAY for day in trading_days())
    # BBB was asked for on Tuesday and had nothing yet: it is not expected to have had.
    assert coverage(node, read_stage(data)) == (
        Coverage(DAYS, sessions - 1, sessions),
        Coverage(MINUTES, 2, 3),
    )


def test_what_nobody_asked_for_is_missing(serve, data):
    node = serve(full())
    publish(data, {}, symbols=("AAA",))
    sessions = sum(day <= WEDNESDAY for day in trading_days())
    assert coverage(node, read_stage(data))[0] == Coverage(DAYS, sessions, 2 * sessions)


@pytest.mark.parametrize(("bad", "count"), [(red("AAA", 5), 390), ({}, BELOW)])
def test_one_dataset_short_of_the_gate_keeps_the_stage(serve, data, bad, count):
    node = serve(full(count))
    publish(data, bad, more=universe("CCC"))
    written = stage_path(data).read_bytes()
    assert gate(node)["promoted_to"] is None
    assert (tasks(node), stage_path(data).read_bytes()) == ([], written)


def test_the_next_stage_begins_when_both_are_green(serve, data, monkeypatch):
    node = serve(full())
    publish(data, {}, more=universe("DDD", "AAA", "CCC", "EEE"))
    cover(data, "alpaca/bars_1d", ("AAA", "BBB"), FIRST, LAST)
    cover(data, "alpaca/bars_1m", ("AAA", "BBB"), TUESDAY, LAST)
    plan(node)
    assert read_stage(data).stage == 0
    plan(node, heavy=True)
    stage = read_stage(data)
    assert (stage.stage, stage.end, stage.symbols) == (1, END, ("AAA", "BBB", "DDD", "CCC"))
    windows = {}
    for dataset, symbol, start, end, kind, priority in tasks(
        node, "dataset, symbol, start_date, end_date, kind, priority"
    ):
        assert (kind, priority) == ("BOOTSTRAP", 0)
        windows.setdefault((dataset, symbol), []).append((start, end))
    # Nothing of what the first stage held is asked for again.
    for dataset, first in ((DAYS, FIRST), (MINUTES, TUESDAY)):
        for symbol in stage.symbols:
            spans = windows[dataset, symbol]
            end = first if symbol in ("AAA", "BBB") else END
            assert (spans[0][0], spans[-1][1]) == ("2018-03-21", end.isoformat())
            assert all(one[1] == two[0] for one, two in pairwise(spans))
    with node.control() as control:
        (seen,) = pipeline_runs(control, GATE)
    assert (seen.status, seen.metrics["stage"], seen.metrics["promoted_to"]) == ("SUCCEEDED", 0, 1)
    assert (
        seen.metrics["tasks"] == len(tasks(node)) == sum(len(spans) for spans in windows.values())
    )
    assert "all sessions are landed" in said_of(node, MISSING_HISTORY)[DAYS]
    # There is no stage after it, and nothing more to queue.
    plan(node, heavy=True)
    assert (read_stage(data), len(tasks(node))) == (stage, seen.metrics["tasks"])
    monkeypatch.setenv("TRADEML_CLOCK", iso(MORNING_AFTER))
    monkeypatch.setenv("TRADEML_DATA", str(data))
    assert "stage: 1, 4 symbols" in CliRunner().invoke(node_group, ["status"]).output


def said_of(node, name):
    with node.control() as control:
        return pipeline_runs(control, name)[0].metrics["unlanded"]


def test_status_says_how_far_the_gate_is(serve, data, monkeypatch):
    node = serve(full(BELOW))
    publish(data, red("AAA", 5))
    plan(node, heavy=True)
    monkeypatch.setenv("TRADEML_CLOCK", iso(MORNING_AFTER))
    monkeypatch.setenv("TRADEML_DATA", str(data))
    said = CliRunner().invoke(node_group, ["status"]).output
    assert (
        "stage: 0, 2 symbols; GREEN equities_bars_1d 97.2%, equities_bars_1m 0.0%, "
        "the next stage begins at 98%\n"
    ) in said


def test_a_node_killed_between_queue_and_file_queues_nothing_twice(serve, data, monkeypatch):
    node = serve(full())
    publish(data, {}, more=universe("DDD", "CCC"))

    def killed(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage_gate, "write_stage", killed)
    with pytest.raises(KeyboardInterrupt):
        gate(node)
    queued = tasks(node, "id, dataset, symbol, start_date, end_date, priority")
    assert (len(queued) > 0, read_stage(data).stage) == (True, 0)
    monkeypatch.undo()
    monkeypatch.setattr(stage_gate, "read_rules", lambda: RULES)
    assert gate(node)["tasks"] == 0
    assert read_stage(data).stage == 1
    assert tasks(node, "id, dataset, symbol, start_date, end_date, priority") == queued


def test_without_backfill_no_stage_begins(serve, data):
    node = serve(full())
    publish(data, {}, more=universe("DDD"))
    settings = KEYS.model_copy(update={"backfill_enabled": False})
    plan(
        make_node(data, SimpleNamespace(url=node.base_url), Steps(), settings=settings), heavy=True
    )
    assert read_stage(data).stage == 0


def test_gaps_outside_the_stage_wait_behind_it(serve, data):
    node = serve([])
    write_stage(data, Stage(0, END, {DAYS: date(2020, 3, 5)}, ("AAA",)))
    publish(data, red("AAA", 3, 4, 5, 12) | red("BBB", 12))
    audit(node, ALL_DAYS)
    found = tasks(node, "symbol, start_date, end_date, kind, priority")
    assert sorted(found) == [
        ("AAA", "2020-03-03", "2020-03-05", "GAP", 3),
        ("AAA", "2020-03-05", "2020-03-06", "GAP", 1),
        ("AAA", "2020-03-12", "2020-03-13", "GAP", 1),
        ("BBB", "2020-03-12", "2020-03-13", "GAP", 3),
    ]


def test_symbols_outside_the_stage_are_named_in_an_outage(serve, data):
    node = serve([])
    names = [f"N{number}" for number in range(7)]
    write_stage(data, Stage(0, END, {DAYS: FIRST}, tuple(names[:5])))
    publish(data, {key: why for name in names for key, why in red(name, 5).items()}, names)
    audit(node, ALL_DAYS)
    assert sorted(tasks(node, "symbol, priority")) == [("", 1), ("N5", 3), ("N6", 3)]
