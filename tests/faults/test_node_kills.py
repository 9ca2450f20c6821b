"""``trademl node run``, stopped politely and killed at random moments: nothing lost, nothing twice."""

import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta

import pytest

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.control.clock import machine_clock
from ingest.control.database import Control, control_path
from ingest.control.pipeline_runs import finish_run, start_run
from ingest.control.queue import Queue
from ingest.control.tasks import Work
from ingest.node.instances import HEAVY, MAINTENANCE
from simulator.replay.faults import Faults
from simulator.replay.server import ReplayServer
from tests.support import markets
from tests.support.commands import assert_no_key, command, environment, moments, run_killed
from tests.support.lakes import open_newest
from tests.support.markets import MORNING_AFTER, believable_market, landed_files, landed_rows
from tests.support.paths import PROJECT_ROOT
from trademl.clock import iso
from trademl.lake import versions as lake

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

HOW_OFTEN = [2, pytest.param(24, marks=pytest.mark.accept)]
BARS, COINS = "alpaca/bars_1d", "binance/klines_1d"
EXPECTED = {
    BARS: [("AAA", 6), ("BBB", 6), ("BRK.B", 6)],
    COINS: [("BTCUSDT", 8), ("ETHUSDT", 8)],
}
"""Sessions of the week before the clock, each of them once."""


@pytest.fixture
def market(tmp_path):
    return believable_market(tmp_path / "market")


def node(data, server, clock=MORNING_AFTER):
    arguments = ("--data", str(data), "--base-url", server.url)
    return command("node", "run", *arguments), environment(data, iso(clock))


def without_builds(data):
    """A data directory whose nightly work is done, so that the node only fetches."""
    clock = machine_clock(lambda: MORNING_AFTER - timedelta(minutes=1))
    with Control(control_path(data), clock) as control:
        for name in (HEAVY, MAINTENANCE):
            finish_run(control, start_run(control, name, {}), "SUCCEEDED")
    return data


def statuses(data):
    """Tasks by status."""
    with closing(sqlite3.connect(control_path(data))) as con:
        assert con.execute("pragma integrity_check").fetchone() == ("ok",)
        return dict(con.execute("select status, count(*) from backfill_queue group by 1"))


def bars(data, endpoint):
    query = "select symbol, count(*) from landed group by 1 order by 1"
    return landed_rows(data, endpoint, query) if landed_files(data, endpoint) else []


def until_fetched(data, child):
    """Waits until all six tasks are done."""
    deadline = time.monotonic() + 240
    while statuses(data) != {"DONE": 6}:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline, statuses(data)
        time.sleep(0.1)


def start(data, server, clock=MORNING_AFTER):
    argv, env = node(data, server, clock)
    return subprocess.Popen(
        argv,
        cwd=PROJECT_ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_node_runs_until_it_is_told_to_stop(market, tmp_path):
    data = without_builds(tmp_path / "data")
    with ReplayServer(market, MORNING_AFTER) as server:
        child = start(data, server)
        until_fetched(data, child)
        second = subprocess.run(
            command("node", "once", "--data", str(data)),
            cwd=PROJECT_ROOT,
            env=environment(data, iso(MORNING_AFTER)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (second.returncode, second.stderr.count("\n")) == (2, 1)
        assert "a node is at work" in second.stderr
        requests = server.requests
        child.send_signal(signal.SIGTERM)
        said, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, "")
    assert said.splitlines()[-1] == "node stopped"
    assert requests == server.requests
    assert {name: bars(data, name) for name in EXPECTED} == EXPECTED
    assert_no_key(data, subprocess.CompletedProcess([], 0, said, errors))


@pytest.mark.parametrize("times", HOW_OFTEN)
def test_a_killed_node_loses_nothing_and_asks_nothing_twice(times, market, tmp_path):
    killed = interrupted = 0
    with ReplayServer(market, MORNING_AFTER) as server:
        whole = without_builds(tmp_path / "whole")
        begun = time.monotonic()
        child = start(whole, server)
        until_fetched(whole, child)
        seconds = time.monotonic() - begun
        child.kill()
        child.communicate()
        calls = server.requests
        for number, moment in enumerate(moments(times, seconds, first=0.4 * seconds)):
            data = without_builds(tmp_path / f"killed-{number}")
            killed += run_killed(*node(data, server), moment, whole_group=True)
            interrupted += "LEASED" in statuses(data)
            for name, expected in EXPECTED.items():
                assert set(bars(data, name)) <= set(expected)
            child = start(data, server)
            until_fetched(data, child)
            child.kill()
            child.communicate()
            assert {name: bars(data, name) for name in EXPECTED} == EXPECTED
    print(
        f"killed {killed} of {times} nodes within {seconds:.1f} s, {interrupted} with a lease; "
        f"{calls} calls undisturbed"
    )
    assert killed == times


FALTERING = "alpaca/timeout:0.15;hang=3;seed=2"
"""Some requests hang for three seconds, then the connection is cut."""
HISTORY_END = markets.LAST - timedelta(days=7)
"""What comes later is asked as live data."""
NIGHTS = [MORNING_AFTER + timedelta(hours=hours) for hours in (17, 41)]
"""02:00 in New York: the nightly work is due as soon as a node starts."""


def queue_history(data):
    """A task for each session of each symbol and each day of each coin, before live data."""
    days = [markets.FIRST + timedelta(days=n) for n in range((HISTORY_END - markets.FIRST).days)]
    sessions = [day for day in markets.trading_days() if day < HISTORY_END]
    wanted = [("equities_bars_1d", name, sessions) for name in markets.SYMBOLS]
    wanted += [("crypto_bars_1d", name, days) for name in markets.COINS]
    with Control(control_path(data), machine_clock(lambda: MORNING_AFTER)) as control:
        Queue(control, Registry.of(read_capabilities())).add(
            Work(dataset, day, day + timedelta(days=1), "BOOTSTRAP", name)
            for dataset, name, all_days in wanted
            for day in all_days
        )


@pytest.fixture
def answered(monkeypatch):
    """How often each request was answered, by all servers of the test."""
    found, draw = Counter(), Faults.draw

    def noted(self, request, vendor=""):
        fault = draw(self, request, vendor)
        found[request] += fault is None
        return fault

    monkeypatch.setattr(Faults, "draw", noted)
    return found


def asked(data, query):
    with closing(sqlite3.connect(control_path(data), timeout=30)) as con:
        return con.execute(query).fetchall()


def until(child, condition):
    deadline = time.monotonic() + 240
    while not condition():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline, "the node does not get on"
        time.sleep(0.02)


def in_the_middle(data):
    """Whether something is done, a lease is held for a while, and other tasks wait."""
    leases = asked(data, "select id from leases")
    time.sleep(0.5)
    kept = set(leases) & set(asked(data, "select id from leases"))
    return bool(kept) and statuses(data).get("PENDING", 0) > 9 < statuses(data).get("DONE", 0)


def is_building(data):
    """Whether dbt has begun with the models."""
    log = data / "logs" / "dbt.log"
    return log.exists() and "START sql" in log.read_text()


def is_through(data):
    """Whether nothing waits and the last nightly run has ended well."""
    return statuses(data).keys() == {"DONE"} and nightly(data)[-1] == "SUCCEEDED"


def nightly(data):
    """How the nightly runs ended, the oldest first."""
    query = f"select status from pipeline_runs where pipeline_name = '{MAINTENANCE}' order by rowid"
    return [status for (status,) in asked(data, query)]


def is_gone(group):
    """Whether all that a node started has ended too; the system takes a moment to see to it."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def stopped(data, child):
    """Stops a node politely: nothing is held, half written or left running; the seconds it took."""
    begun = time.monotonic()
    child.send_signal(signal.SIGTERM)
    said, errors = child.communicate(timeout=30)
    seconds = time.monotonic() - begun
    assert (child.returncode, errors, said.splitlines()[-1]) == (0, "", "node stopped")
    assert is_gone(child.pid)
    assert asked(data, "select count(*) from leases") == [(0,)]
    assert statuses(data).keys() <= {"PENDING", "DONE"}
    assert asked(data, "select max(attempts) from backfill_queue") == [(0,)]
    assert [name for name in markets.leftovers(data) if not name.endswith(".parquet")] == []
    return round(seconds, 1)


@pytest.mark.parametrize("nights", [NIGHTS[:1], pytest.param(NIGHTS, marks=pytest.mark.accept)])
def test_a_node_stopped_in_the_middle_of_work_and_of_builds(nights, market, tmp_path, answered):
    data, requests, seconds, days = without_builds(tmp_path / "data"), [], [], {}

    def life(clock, reached, faults=""):
        with ReplayServer(market, clock, faults) as server:
            child = start(data, server, clock)
            try:
                until(child, reached)
                seconds.append(stopped(data, child))
            finally:
                child.kill()
                child.communicate()
        requests.append(server.requests)
        days.setdefault(clock.date(), Counter()).update(answered)
        answered.clear()

    life(MORNING_AFTER, lambda: statuses(data) == {"DONE": 6})
    queue_history(data)
    life(MORNING_AFTER + timedelta(minutes=1), lambda: in_the_middle(data), FALTERING)
    assert statuses(data)["PENDING"] > 0
    assert ("stopped",) in asked(data, "select last_error from backfill_queue")
    assert asked(data, "select sum(spent) from vendor_days") == [(sum(requests),)]
    for night in nights:
        versions = lake.list_versions(data)
        (data / "logs" / "dbt.log").unlink(missing_ok=True)
        life(night, lambda: is_building(data))
        assert nightly(data)[-1] == "CANCELLED"
        assert lake.list_versions(data) == versions
        life(night, lambda: is_through(data))
        assert len(lake.list_versions(data)) == len(versions) + 1
    print(f"stopped within {seconds} s; {requests} requests")
    # What is as of now is asked each day, all else once.
    assert all(set(found.values()) <= {0, 1} for found in days.values()), days
    query = "select count(*), count(distinct (symbol, t)) from landed"
    whole = len(markets.SYMBOLS) * len(markets.trading_days())
    assert landed_rows(data, BARS, query) == [(whole, whole)]
    with open_newest(data) as newest:
        found = newest.execute(
            "select table_name, status, count(*) from quality.partition_status group by all"
        ).fetchall()
    assert {status for _, status, _ in found} == {"GREEN"}
    assert ("curated/equities_ohlcv_adj", "GREEN", whole) in found
