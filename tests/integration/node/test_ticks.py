"""The loops on a clock that only the test moves; the build is one that publishes at once."""

import fcntl
import sqlite3
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

from ingest.control.pipeline_runs import pipeline_runs, start_run
from ingest.node import daemon as loops
from ingest.node.daemon import last_start, run_node, run_once, tick
from ingest.node.instances import HEAVY, LIGHT, MAINTENANCE, alone, join_instance
from ingest.node.planning.forward import forward
from simulator.replay.server import ReplayServer
from tests.support.markets import FIRST, MORNING_AFTER, small_market
from tests.support.nodes import Steps, make_node, publish, tasks
from tests.support.replays import run
from trademl.errors import DataError, GateFailed
from trademl.lake.build import build_lake
from trademl.settings import Settings

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

KEYLESS = Settings(_env_file=None)
ACTIONS = pa.table({"security_id": pa.array([], pa.string()), "ex_date": pa.array([], pa.date32())})


@pytest.fixture
def server(tmp_path):
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER) as serving:
        yield serving


@pytest.fixture
def data(tmp_path, server):
    """With one old bar: of nothing no lake is built."""
    folder, old = tmp_path / "data", {"start": FIRST, "end": FIRST, "symbols": ["BTCUSDT"]}
    run(server, folder, "binance", "crypto_bars_1d", settings=KEYLESS, **old)
    return folder


class Builds:
    """A build that publishes a version made by hand, or fails."""

    def __init__(self, steps):
        self.steps, self.at, self.error = steps, [], None

    def __call__(self, data, clock):
        self.at.append(clock)
        if self.error is not None:
            raise self.error
        return publish(data, {}, more={"reference.corp_actions": ACTIONS}).name


def runs(node, name):
    """When a loop ran and how it ended, oldest first."""
    with node.control() as control:
        return [(run.started_at, run.status) for run in pipeline_runs(control, name)][::-1]


def test_two_days_of_ticks(data, server):
    steps = Steps()
    builds = Builds(steps)
    node = make_node(data, server, steps, builds, settings=KEYLESS)
    with alone(node):
        forwarded, forwards = None, set()
        while steps.wall < MORNING_AFTER + timedelta(days=2):
            forwarded = tick(node, forwarded)
            forwards.add(forwarded)
            steps.wait(300)
    first = MORNING_AFTER
    # At once, because it never ran; then at 02:00 in New York, 06:00 UTC in summer.
    nights = [first, first + timedelta(hours=17), first + timedelta(hours=41)]
    assert builds.at == nights
    assert [at for at, _ in runs(node, MAINTENANCE)] == nights
    assert [at for at, _ in runs(node, HEAVY)] == nights
    # Every four hours since the last audit, whichever it was.
    assert [(at - first).total_seconds() / 3600 for at, _ in runs(node, LIGHT)] == [
        *(4, 8, 12, 16),
        *(21, 25, 29, 33, 37),
        45,
    ]
    assert len(forwards) == 2 * 24 * 4
    assert {status for name in (LIGHT, HEAVY, MAINTENANCE) for _, status in runs(node, name)} == {
        "SUCCEEDED"
    }


def test_one_pass_goes_through_the_loops_in_order(data, server):
    steps = Steps()
    order = []

    def built(folder, clock):
        order.append([row[3] for row in tasks(node)])
        return Builds(steps)(folder, clock)

    node = make_node(data, server, steps, built)
    run_once(node)
    # What forward ingest queued was worked before the lake was built.
    assert order == [["DONE"] * 6]
    exports = [path.name for path in (data / "exports" / "nightly").iterdir()]
    assert exports == ["2020-03-21"]


def test_a_build_that_fails_is_recorded_and_does_not_end_the_node(data, server):
    steps = Steps()
    builds = Builds(steps)
    builds.error = GateFailed("grain: 3 rows; nothing was published")
    node = make_node(data, server, steps, builds, settings=KEYLESS)
    with alone(node):
        tick(node, None)
        tick(node, steps.wall)
        assert len(builds.at) == 1
        steps.wait(24 * 3600)
        builds.error = None
        tick(node, steps.wall)
    assert [status for _, status in runs(node, MAINTENANCE)] == ["FAILED", "SUCCEEDED"]
    with node.control() as control:
        (_, failed) = pipeline_runs(control, MAINTENANCE)
    assert failed.metrics == {"error": "grain: 3 rows; nothing was published"}


@pytest.mark.parametrize(
    ("heals_after", "outcomes"),
    [(1, ["FAILED", "SUCCEEDED"]), (2, ["FAILED", "FAILED", "SUCCEEDED"]), (9, ["FAILED"] * 3)],
)
def test_a_build_that_fails_is_tried_again_that_night_but_not_all_day(
    data, server, heals_after, outcomes
):
    steps = Steps()
    builds = Builds(steps)
    builds.error = GateFailed("no room")
    node = make_node(data, server, steps, builds, settings=KEYLESS)
    begun = steps.wall
    with alone(node):
        while steps.wall < begun + timedelta(hours=10):
            builds.error = builds.error if len(builds.at) < heals_after else None
            tick(node, steps.wall)
            steps.wait(300)
    assert [status for _, status in runs(node, MAINTENANCE)] == outcomes
    gaps = {later - at for at, later in zip(builds.at, builds.at[1:], strict=False)}
    assert gaps <= {timedelta(hours=1)}


def test_of_nothing_no_lake_is_built(tmp_path, server):
    steps = Steps()
    builds = Builds(steps)
    node = make_node(tmp_path / "empty", server, steps, builds, settings=KEYLESS)
    node_of_dead_host = replace(node, base_url="http://127.0.0.1:1")
    with alone(node):
        tick(node_of_dead_host, None)
    summary = run_once(node_of_dead_host)
    assert (builds.at, summary.of("done"), summary.of("unavailable") > 0) == ([], 0, True)
    # The vendor is back: the first bars make the first lake.
    steps.wait(3600)
    run_once(node)
    assert len(builds.at) == 1


def test_a_node_takes_back_what_a_dead_one_held(data, server):
    steps = Steps()
    node = make_node(data, server, steps, Builds(steps))
    with node.control() as control, node.queue() as queue:
        forward(node)
        start_run(control, MAINTENANCE, {})
        assert queue.lease_next(node.owner, node.providers) is not None
    with alone(node):
        assert {row[3] for row in tasks(node)} == {"PENDING"}
        assert [status for _, status in runs(node, MAINTENANCE)] == ["FAILED"]


def test_an_error_that_no_task_can_be_blamed_for_ends_the_node(data, server):
    def broken(*_args, **_options):
        raise sqlite3.OperationalError("disk I/O error")

    steps = Steps()
    node = make_node(data, server, steps, Builds(steps), make_client=broken)
    with pytest.raises(sqlite3.OperationalError):
        run_node(node)


def test_a_mistake_of_the_program_leaves_no_run_behind_that_seems_to_go_on(data, server):
    steps = Steps()
    builds = Builds(steps)
    builds.error = RuntimeError("a mistake")
    node = make_node(data, server, steps, builds, settings=KEYLESS)
    with pytest.raises(RuntimeError, match="a mistake"):
        run_once(node)
    assert [status for _, status in runs(node, MAINTENANCE)] == ["FAILED"]


def test_live_data_are_asked_for_while_the_lake_is_built(data, server, monkeypatch):
    asked, steps = threading.Semaphore(0), Steps()
    monkeypatch.setattr(loops, "forward", lambda *_args: asked.release())

    def slow_build(_folder, _clock):
        assert all(asked.acquire(timeout=60) for _ in range(3))
        steps.stop = True
        raise DataError("the build was stopped")

    node = make_node(data, server, steps, slow_build, settings=KEYLESS)
    run_node(node)
    assert [status for _, status in runs(node, MAINTENANCE)] == ["CANCELLED"]
    # It is to be made up for when the node starts again.
    assert last_start(node, MAINTENANCE) is None


def test_a_build_that_is_told_to_stop_ends_at_once_and_frees_its_lock(data):
    begun = time.monotonic()
    with pytest.raises(DataError, match="the build was stopped; nothing was published"):
        build_lake(data, MORNING_AFTER, is_stopping=lambda: True)
    assert time.monotonic() - begun < 15
    with (data / "build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_second_node_has_an_owner_of_its_own_and_leads_when_the_first_is_gone(data, server):
    node = make_node(data, server, Steps())
    with join_instance(node) as first, join_instance(node) as second:
        assert (first.node.owner, second.node.owner) == ("node-1", "node-1.1")
        assert (first.leads(), second.leads()) == (True, False)
        first.leave()
        assert second.leads()
        with join_instance(node) as third:
            assert (third.node.owner, third.leads()) == ("node-1.2", False)
