"""A simulated week of a tiny market: the node keeps every dataset up to date, with trouble.

The clock jumps from evening to night; in between nothing is published. A vendor is down for a day,
another takes connections for a day and never answers, all of them falter all the time.
"""

import json
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
import stamina

from ingest.control.pipeline_runs import finish_run, start_run
from ingest.control.tasks import Work
from ingest.landing import bookmarks
from ingest.landing.job import FRESH
from ingest.node.daemon import forward, tick, work
from ingest.node.instances import HEAVY, MAINTENANCE, alone
from ingest.node.planning.forward import ages
from ingest.node.stage_file import Stage, read_rules, write_stage
from ingest.transport.client import VendorClient
from ingest.vendors.alphavantage import client as alphavantage
from ingest.vendors.fred import client as fred
from ingest.vendors.registry import ENDPOINTS
from ingest.vendors.sec_edgar import client as sec_edgar
from ingest.vendors.sec_edgar import datasets as removals
from simulator.replay.server import ReplayServer
from tests.support.lakes import open_newest
from tests.support.markets import COINS, FIRST, SYMBOLS, trading_days
from tests.support.nodes import Steps, make_node, no_build, tasks
from tests.support.weeks import ALL_KEYS, landed_whole, whole_market
from trademl.lake.build import build_lake as build
from trademl.sessions import sessions_between

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

FAULTS = "429:0.05,5xx:0.02,cut:0.01;seed=5;retry_after=1;hang=2"
DOWN, FROZEN = f"alpaca/5xx:0.92,{FAULTS}", f"finnhub/timeout:0.92,{FAULTS}"
"""A vendor that fails on every request, and one that never answers, among the usual faults."""
TIMEOUTS = {"finnhub": 1.0}
"""Seconds, of the machine's clock: the other vendors answer within ``PATIENCE`` on a busy one too."""
PATIENCE = 20.0
SECONDS_PER_TICK = 600
EVENING, LATE, NIGHT = time(21, 30), time(23, 50), time(5, 30)
"""UTC: after New York's close, before the UTC day ends, and before 02:00 in New York."""


def impatient(vendor, *args, **options):
    """A client that does not wait long for the vendor that never answers."""
    return VendorClient(vendor, *args, timeout=TIMEOUTS.get(vendor, PATIENCE), **options)


def at(day, moment):
    return datetime.combine(day, moment, UTC)


class Week:
    """A node's days, and what was seen of them."""

    def __init__(self, market, data, days, outages=None, nightly=None):
        self.market, self.data, self.days = market, data, days
        self.outages = outages or {}
        self.steps = Steps(at(days[0], EVENING))
        self.nightly = nightly
        self.behind, self.most_spent, self.requests, self.spent = {}, {}, 0, 0
        # The last stage: another would ask for fifteen years that the market does not have.
        write_stage(data, Stage(len(read_rules()) - 1, days[0], {}, SYMBOLS))

    def run(self):
        for number, day in enumerate(self.days):
            self.open(at(day, EVENING), at(day, LATE), self.outages.get(day, FAULTS), number == 0)
            self.behind[day] = [name for name, one in ages(self.node).items() if not one.is_fresh]
            night = at(day + timedelta(days=1), NIGHT)
            self.open(night, night + timedelta(minutes=40), FAULTS)

    def open(self, begin, end, faults, is_first=False):
        """The loops from one time to another, against the market as of the first."""
        self.steps.wait((begin - self.steps.wall).total_seconds())
        with ReplayServer(self.market, begin, faults) as server:
            build_lake = self.nightly or no_build
            self.node = make_node(
                self.data, server, self.steps, build_lake, impatient, settings=ALL_KEYS
            )
            if is_first and self.nightly:
                seed(self.node, self.days[0])
                without_nightly(self.node)
            before = self.calls()
            with alone(self.node):
                self.drive(end)
            self.spent += self.calls() - before
            self.requests += server.requests

    def drive(self, until):
        forwarded = None
        while self.steps.wall < until:
            if self.nightly:
                forwarded = tick(self.node, forwarded)
            else:
                forward(self.node)
            work(self.node)
            self.check_budgets()
            self.steps.wait(SECONDS_PER_TICK)

    def check_budgets(self):
        with self.node.queue() as queue:
            for row in self.node.registry.rows:
                state = queue.budget.state(row.vendor)
                cap = self.node.registry.limits(row.vendor).daily_cap
                most = max(self.most_spent.get(row.vendor, 0), state.spent_today)
                self.most_spent[row.vendor] = most
                assert state.spent_today <= cap
                assert state.spent.get(row.dataset, 0) <= row.soft_daily_cap

    def calls(self):
        """Calls paid for, of all days."""
        with self.node.control() as control, control.transaction() as tx:
            (spent,) = tx.con.execute("select coalesce(sum(spent), 0) from vendor_days").fetchone()
        return spent

    def whole(self):
        over = [day for day in trading_days() if day <= self.days[-1]]
        in_week = [session.day for session in sessions_between(self.days[0], self.days[-1])]
        return landed_whole(
            self.data,
            self.market,
            first=in_week[0],
            last=over[-1],
            last_day=self.days[-1],
            begin=at(self.days[0], EVENING),
            clock=at(self.days[-1], EVENING),
            asked=self.asked_on("sec_edgar/companyfacts"),
            reported=self.asked_on("alphavantage/earnings"),
        )

    def asked_on(self, endpoint):
        """The day on which what is asked once in some weeks was asked last."""
        landed = bookmarks.landed(self.data, ENDPOINTS[endpoint])
        return landed[-1].ingested_at.date()


def repeated_files(data):
    """Landed files that hold the same window of the same symbols of one day of landing.

    What is as of now has no window: an evening's copy may follow a night's that was late.
    """
    asked = {}
    for endpoint in ENDPOINTS.values():
        if endpoint.vendor not in ("file", "exchange_calendars"):
            for found in bookmarks.landed(data, endpoint):
                day = found.ingested_at.date() if found.start else None
                key = (endpoint.path, found.start, found.end, found.symbols, day)
                asked.setdefault(key, []).append(found.ingested_at)
    return {
        key: times
        for key, times in asked.items()
        if any(key[1] or later - earlier < FRESH for earlier, later in pairwise(times))
    }


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    """The vendors' limits per second are of the machine's clock, which the test does not wait for."""
    for vendor in (alphavantage, fred, sec_edgar):
        monkeypatch.setattr(vendor.PACE, "seconds", 0.0)
    monkeypatch.setattr(removals, "FORM_25_HISTORY", date(2019, 10, 1))
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


def test_two_days_of_every_dataset(tmp_path):
    days = trading_days()[-4:-2]
    week = Week(whole_market(tmp_path / "market"), tmp_path / "data", days, {days[1]: FROZEN})
    week.run()
    print(json.dumps(figures_of(week), indent=1))
    found = week.whole()
    assert all(one["rows"] and not one["missing"] for one in found.values()), found
    assert not any(one["strange"] for one in found.values()), found
    assert not repeated_files(week.data)
    assert week.behind == {day: [] for day in days}
    assert week.requests == week.spent


@pytest.mark.accept
def test_a_week(tmp_path):
    sessions_of_week = trading_days()[-6:-1]
    days = [
        sessions_of_week[0] + timedelta(days=n)
        for n in range((sessions_of_week[-1] - sessions_of_week[0]).days + 1)
    ]
    outages = {sessions_of_week[2]: DOWN, sessions_of_week[3]: FROZEN}
    versions = []

    def nightly(folder, clock):
        versions.append(build(folder, clock).name)
        return versions[-1]

    week = Week(whole_market(tmp_path / "market"), tmp_path / "data", days, outages, nightly)
    week.run()
    found, red = week.whole(), not_green(week.data)
    left = [
        row
        for row in tasks(week.node, "dataset, symbol, kind, status, last_error")
        if row[3] != "DONE"
    ]
    said = figures_of(week) | {
        "versions": versions,
        "not done": left,
        "not GREEN": [[str(cell) for cell in row] for row in red],
    }
    print(json.dumps(said, indent=1))
    assert all(one["rows"] and not one["missing"] for one in found.values()), found
    assert not any(one["strange"] for one in found.values()), found
    assert not repeated_files(week.data)
    assert red == []
    assert len(versions) == len(days) == 7
    # On the day of the outage only what no other vendor has stays behind; the next day has it all.
    down = week.behind.pop(sessions_of_week[2])
    assert set(down) <= {"assets", "corp_actions_splits", "equities_bars_1d", "equities_bars_1m"}
    assert week.behind == {day: [] for day in week.behind}
    assert week.requests == week.spent
    # What is given up says why; the next day's tasks filled the same sessions.
    assert all(row[3] == "FAILED" and row[4] for row in left if row[2] != "QC_PROBE"), left


def figures_of(week):
    return {
        "days": len(week.days),
        "datasets kept fresh": len(ages(week.node)),
        "behind at the end of the day": {str(day): names for day, names in week.behind.items()},
        "rows landed, missing, strange": {
            name: list(one.values()) for name, one in week.whole().items()
        },
        "files": sum(1 for _ in week.data.rglob("raw/*/*/*/*.parquet")),
        "asked twice in a day": len(repeated_files(week.data)),
        "requests": week.requests,
        "calls paid for": week.spent,
        "most calls of a day": week.most_spent,
        "tasks": dict(Counter(status for (status,) in tasks(week.node, "status"))),
    }


def not_green(data):
    with open_newest(data) as connection:
        return connection.execute(
            "select table_name, symbol, dt, status, qc_code from quality.partition_status"
            " where status <> 'GREEN' order by all"
        ).fetchall()


def seed(node, until):
    """History up to the week."""
    with node.queue() as queue:
        for dataset, symbols in (("equities_bars_1d", SYMBOLS), ("crypto_bars_1d", COINS)):
            queue.add(Work(dataset, FIRST, until, "BOOTSTRAP", symbol) for symbol in symbols)


def without_nightly(node):
    """The nightly work of the night before is done: nothing is landed yet that could be built."""
    with node.control() as control:
        for name in (HEAVY, MAINTENANCE):
            finish_run(control, start_run(control, name, {}), "SUCCEEDED")
