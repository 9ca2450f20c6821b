"""A wall clock that is set while the node works: in leases, backoffs, freezes and spent budgets."""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.control.database import control_path
from ingest.node.daemon import work
from ingest.node.instances import alone
from ingest.node.planning.forward import ages, forward
from simulator.replay.server import ReplayServer
from tests.support.markets import MORNING_AFTER, SYMBOLS, landed_rows, small_market
from tests.support.node_nursery import ALPACA, LEASE_LOG, history, overlapping
from tests.support.nodes import QUICK, Steps, make_node, tasks

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

YEAR, DAY = 365 * 86_400, 86_400
CAP, SHARE = 20, 17
"""Calls of a day, and those of them that a backfill may spend."""
FAULTS = "429:0.1,5xx:0.1;seed=7;retry_after=1"


class Jumps(Steps):
    """The wall clock is set at some of the client's calls; counts calls between midnights.

    Attributes:
        at: By number of the call: by how many seconds the wall clock is set.
        calls: Calls by the number of midnights that passed before them.
    """

    def __init__(self, at):
        super().__init__()
        self.at, self.calls, self.midnights = at, Counter(), 0

    def wait(self, seconds):
        before = self.wall.date()
        stopping = super().wait(seconds)
        self.midnights += self.wall.date() != before
        return stopping

    def client(self, *args, pace=None, **options):
        return QUICK(*args, pace=_Counted(self, pace), **options)


class _Counted:
    """The pace of a client, which pays for each call; then the clock is set."""

    def __init__(self, steps, pace):
        self.steps, self.pace = steps, pace

    def wait(self):
        self.pace.wait()
        steps = self.steps
        with steps._lock:
            steps.calls[steps.midnights] += 1
            steps.wall += timedelta(seconds=steps.at.get(steps.calls.total(), 0))


@pytest.mark.parametrize(
    "at",
    [
        {},
        {5: YEAR, 25: -YEAR},
        {3: -DAY, 14: -DAY, 30: 2 * DAY},
        {number: (YEAR, -DAY, -YEAR, DAY)[number // 4 % 4] for number in range(2, 40, 4)},
    ],
    ids=["none", "a year ahead", "days back", "every fourth call"],
)
def test_nothing_is_lost_or_asked_twice_and_no_budget_is_exceeded(at, tmp_path):
    data, steps = tmp_path / "data", Jumps(at)
    with ReplayServer(small_market(tmp_path / "market"), MORNING_AFTER, FAULTS) as server:
        node = make_node(data, server, steps, make_client=steps.client, settings=ALPACA)
        rows = [
            replace(row, soft_daily_cap=CAP) if row.vendor == "alpaca" else row
            for row in read_capabilities()
        ]
        node = replace(node, registry=Registry.of(rows))
        works = history(SYMBOLS[:2])
        with node.queue() as queue:
            queue.add(works)
        with closing(sqlite3.connect(control_path(data))) as con:
            con.executescript(LEASE_LOG)
        hours = 0
        with alone(node):
            while {row[3] for row in tasks(node)} != {"DONE"}:
                work(node)
                steps.wait(6 * 3600)
                hours += 6
                assert hours < 24 * 20, tasks(node, "status, next_not_before, last_error")
        log = sqlite3.connect(control_path(data))
        with closing(log):
            events = log.execute(
                "select task_id, event, lease_id, owner from lease_log order by seq"
            ).fetchall()
        assert overlapping(events) == []
        assert steps.calls.total() == server.requests
        assert max(steps.calls.values()) <= SHARE
        assert len(tasks(node)) == len(works)
        landed = landed_rows(
            data, "alpaca/bars_1d", "select symbol, t::date, count(*) from landed group by all"
        )
        assert sorted(landed) == sorted((work.symbol, work.start, 1) for work in works)
        # The clock is right again, and the node goes on as if it had been all the time.
        steps.wall = MORNING_AFTER + timedelta(hours=1)
        for _ in range(5):
            forward(node)
            work(node)
            steps.wait(60)
        assert ages(node)["crypto_filters"].is_fresh
