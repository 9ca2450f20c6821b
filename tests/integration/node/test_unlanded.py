"""History that a stage requires: lost, never landed or failed, it is told, queued once and landed."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner

from ingest.control.pipeline_runs import pipeline_runs
from ingest.control.tasks import Work
from ingest.landing import bookmarks
from ingest.node.daemon import plan, work
from ingest.node.instances import alone
from ingest.node.stage_file import Stage, read_stage, tasks_for, write_stage
from ingest.node.stages.coverage import coverage
from ingest.node.stages.missing_history import MISSING_HISTORY, missing_history
from ingest.vendors.registry import ENDPOINTS
from simulator.replay.server import ReplayServer
from tests.support.markets import (
    FIRST,
    LAST,
    MORNING_AFTER,
    landed_files,
    landed_rows,
    small_market,
)
from tests.support.nodes import Steps, cover, make_node, publish, tasks
from tests.support.replays import run
from tests.support.weeks import whole_market
from trademl.cli.node import audit_group, node_group
from trademl.cli.node_status import lines
from trademl.clock import iso
from trademl.settings import Settings

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

DAYS, MINUTES = "equities_bars_1d", "equities_bars_1m"
NAMES = ("AAA", "BBB")
END = LAST + timedelta(days=1)
HOUR = 3600


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def begin(data, node, *datasets, start=FIRST):
    """A stage of two names whose tasks are queued."""
    stage = Stage(0, END, dict.fromkeys(datasets, start), NAMES)
    write_stage(data, stage)
    with node.queue() as queue:
        queue.add(tasks_for(stage))


def outcomes(node):
    return Counter(status for (status,) in tasks(node, "status"))


def drive(node, steps, hours):
    with alone(node):
        for _ in range(hours * 6):
            work(node)
            steps.wait(600)


def test_a_bootstrap_that_an_outage_failed_is_tried_again_each_day_and_heals(tmp_path, data):
    market, steps = small_market(tmp_path / "market"), Steps()
    with ReplayServer(market, MORNING_AFTER, "alpaca/5xx:1") as down:
        node = make_node(data, down, steps)
        begin(data, node, DAYS)
        drive(node, steps, 6)
        assert outcomes(node) == {"FAILED": 2}
        asked = down.requests
        # Never faster than once a day, however often it is looked at: budgets are kept.
        for _ in range(3):
            plan(node, heavy=True)
            drive(node, steps, 1)
        assert (outcomes(node), down.requests) == ({"FAILED": 2}, asked)
        steps.wait(12 * HOUR)
        plan(node, heavy=True)
        drive(node, steps, 6)
        assert (outcomes(node), down.requests) == ({"FAILED": 2}, 2 * asked)
        assert "not landed" in missing_history(node)[0].line()
    steps.wait(24 * HOUR)
    with ReplayServer(market, steps.wall) as server:
        node = make_node(data, server, steps)
        run(server, data, "alpaca", "assets", clock=steps.wall)
        plan(node, heavy=True)
        drive(node, steps, 1)
        assert outcomes(node) == {"DONE": 2}
        assert missing_history(node)[0].windows == ()


def test_lost_minutes_and_lost_first_days_are_told_and_land_again(tmp_path, data, monkeypatch):
    market, steps = whole_market(tmp_path / "market"), Steps()
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        run(server, data, "alpaca", "assets")
        begin(data, node, DAYS, MINUTES)
        work(node)
        assert outcomes(node) == {"DONE": len(tasks(node))}
        publish(data, {}, symbols=NAMES)
        plan(node, heavy=True)
        assert (outcomes(node), said(node)) == (
            {"DONE": len(tasks(node))},
            dict.fromkeys((DAYS, MINUTES), "all sessions are landed"),
        )
        lost = [*landed_files(data, "alpaca/bars_1d"), *landed_files(data, "alpaca/bars_1m")[:5]]
        for path in lost:
            path.unlink()
        requests = server.requests
        # The lake still says that all is GREEN: what it was made of is not there any more.
        monkeypatch.setenv("TRADEML_CLOCK", iso(steps.wall))
        monkeypatch.setenv("TRADEML_DATA", str(data))
        found = CliRunner().invoke(audit_group, ["gaps"]).output
        assert "38 partitions, 38 GREEN" in found
        assert f"stage {DAYS}: 40 sessions of 2 symbols are not landed; 2 BOOTSTRAP" in found
        assert f"stage {MINUTES}: " in found
        plan(node, heavy=True)
        assert "are not landed" in said(node)[MINUTES]
        assert f"stage {MINUTES}: {said(node)[MINUTES]} (seen at " in (
            CliRunner().invoke(node_group, ["status"]).output
        )
        work(node)
        assert missing_history(node)[1].windows == missing_history(node)[0].windows == ()
        # One call for each file that was lost, none for the others.
        assert server.requests - requests == len(lost)
        plan(node, heavy=True)
        assert work(node).outcomes.total() == 0


def said(node):
    with node.control() as control:
        return pipeline_runs(control, MISSING_HISTORY)[0].metrics["unlanded"]


def test_what_was_asked_in_vain_before_the_first_bar_is_not_asked_again(tmp_path, data):
    early = FIRST - timedelta(days=60)
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as server:
        node = make_node(data, server, Steps())
        run(server, data, "alpaca", "assets")
        begin(data, node, DAYS, start=early)
        work(node)
        requests = server.requests
        assert outcomes(node) == {"DONE": len(tasks(node))}
        plan(node, heavy=True)
        assert (work(node).outcomes.total(), server.requests) == (0, requests)


def test_what_no_vendor_serves_is_neither_queued_nor_waited_for_and_said(tmp_path, data):
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as server:
        node = make_node(data, server, Steps())
        stage = Stage(1, END, {DAYS: date(2005, 3, 21)}, ("AAA",))
        write_stage(data, stage)
        publish(data, {}, symbols=("AAA",))
        cover(data, "alpaca/bars_1d", ("AAA",), date(2016, 1, 1), FIRST)
        plan(node, heavy=True)
        starts = [date.fromisoformat(day) for (day,) in tasks(node, "start_date")]
        assert min(starts) > FIRST
        assert said(node)[DAYS].endswith("no vendor serves it before 2016-01-01")
        cover(data, "alpaca/bars_1d", ("AAA",), FIRST, LAST)
        assert coverage(node, read_stage(data))[0].ratio == 1


def test_history_that_was_lost_far_from_today_is_no_late_data(tmp_path, data):
    """A vendor without bars of an old window has answered; of the last sessions it is late."""
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as server:
        node = make_node(data, server, Steps())
        run(server, data, "alpaca", "assets")
        begin(data, node, MINUTES)
        work(node)
        found = tasks(node, "start_date, status")
        assert {status for start, status in found if start < "2020-03-08"} == {"DONE"}
    landed = bookmarks.landed(data, ENDPOINTS["alpaca/bars_1m"])
    assert len({(one.symbols, one.start, one.end) for one in landed}) == len(landed)


def test_a_vendor_that_is_late_is_asked_five_times_a_day_and_leaves_one_file(tmp_path, data):
    market, steps = small_market(tmp_path / "market"), Steps(datetime(2020, 3, 21, 3, tzinfo=UTC))
    with ReplayServer(market, steps.wall) as server:
        node = make_node(data, server, steps)
        run(server, data, "alpaca", "assets", clock=steps.wall)
        with node.queue() as queue:
            queue.add([Work(MINUTES, LAST, END, "BOOTSTRAP", "AAA")])
        requests = server.requests
        drive(node, steps, 20)
        assert server.requests - requests == 5
    assert len(landed_files(data, "alpaca/bars_1m")) == 1
    ((status, error),) = tasks(node, "status, last_error")
    assert (status, "gave no new bars" in error) == ("FAILED", True)


def test_a_wrong_key_costs_a_call_a_thread_and_hour_and_no_task(tmp_path, data):
    market, steps = small_market(tmp_path / "market"), Steps()
    with ReplayServer(market, MORNING_AFTER, keys={"alpaca": "another"}) as server:
        node = make_node(data, server, steps)
        begin(data, node, DAYS)
        drive(node, steps, 3)
        work(node)
        assert outcomes(node) == {"PENDING": 2}
        assert 4 <= server.requests <= 4 * node.limits.inflight("alpaca")
        assert {attempts for (attempts,) in tasks(node, "attempts")} == {0}
        told = dict(lines(node))["vendor alpaca"]
        assert "frozen until" in told
        assert "HTTP 401" in told
        assert "check the alpaca keys" in told
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        run(server, data, "alpaca", "assets")
        drive(node, steps, 2)
        assert outcomes(node) == {"DONE": 2}


def test_a_session_that_was_landed_without_a_minute_is_asked_for_again(tmp_path, data):
    market, steps = whole_market(tmp_path / "market"), Steps()
    evening, hole = datetime(2020, 3, 10, 22, tzinfo=UTC), date(2020, 3, 10)
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps)
        run(server, data, "alpaca", "assets")
        write_stage(data, Stage(1, END, {MINUTES: FIRST}, NAMES))
        cover(data, "alpaca/bars_1m", NAMES, hole, hole, evening)
        span = {"symbols": NAMES, "start": FIRST, "end": hole - timedelta(days=1)}
        run(server, data, "alpaca", MINUTES, **span)
        run(server, data, "alpaca", MINUTES, **span | {"start": date(2020, 3, 11), "end": LAST})
        plan(node, heavy=True)
        assert sorted(tasks(node, "symbol, start_date, end_date, kind")) == [
            (name, "2020-03-10", "2020-03-11", "GAP") for name in NAMES
        ]
        work(node)
        assert coverage(node, read_stage(data))[0].expected == 40
        query = "select count(distinct symbol) from landed where t::date = '2020-03-10'"
        assert landed_rows(data, "alpaca/bars_1m", query) == [(2,)]
        plan(node, heavy=True)
        assert work(node).outcomes.total() == 0


def test_minutes_that_another_vendor_was_asked_for_in_vain_wait_as_well(tmp_path, data):
    massive = Settings(massive_api_key="hush-hush", _env_file=None)
    market, steps, traded = whole_market(tmp_path / "market"), Steps(), date(2020, 3, 18)
    with ReplayServer(market, MORNING_AFTER) as server:
        node = make_node(data, server, steps, settings=massive)
        write_stage(data, Stage(1, END, {MINUTES: traded}, ("AAA",)))
        span = {"symbols": ("AAA",), "start": traded, "end": traded}
        run(server, data, "massive", MINUTES, settings=massive, **span)
    cover(data, "massive/aggs_1m", ("AAA",), date(2020, 3, 19), LAST)
    plan(node, heavy=True)
    assert tasks(node) == []
    steps.wait(31 * 24 * HOUR)
    plan(node, heavy=True)
    assert ("AAA", "2020-03-19", "GAP") in tasks(node, "symbol, start_date, kind")
