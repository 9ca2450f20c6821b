"""``trademl node run``, stopped politely and killed at random moments: nothing lost, nothing twice."""

import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import timedelta

import pytest

from ingest.control import Control, control_path
from ingest.node_clock import machine_clock
from ingest.node_slots import HEAVY, MAINTENANCE
from ingest.pipeline_runs import finish_run, start_run
from ingest.replay.server import ReplayServer
from tests.faults.support import ROOT, assert_no_key, command, environment, moments, run_killed
from tests.unit.ingest.markets import MORNING_AFTER, landed_files, landed_rows, small_market
from trademl.clock import iso

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
    return small_market(tmp_path / "market")


def node(data, server):
    arguments = ("--data", str(data), "--base-url", server.url)
    return command("node", "run", *arguments), environment(data, iso(MORNING_AFTER))


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


def start(data, server):
    argv, env = node(data, server)
    return subprocess.Popen(
        argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_node_runs_until_it_is_told_to_stop(market, tmp_path):
    data = without_builds(tmp_path / "data")
    with ReplayServer(market, MORNING_AFTER) as server:
        child = start(data, server)
        until_fetched(data, child)
        second = subprocess.run(
            command("node", "once", "--data", str(data)),
            cwd=ROOT,
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
