"""A simulated week of a tiny market: the node's clock driven through five sessions, with trouble."""

import json
from collections import Counter
from datetime import UTC, datetime, time, timedelta

import pytest

from ingest import bookmarks
from ingest.endpoints import ENDPOINTS
from ingest.forward import ages
from ingest.node import tick, work
from ingest.node_slots import HEAVY, MAINTENANCE, alone
from ingest.pipeline_runs import finish_run, start_run
from ingest.replay.server import ReplayServer
from ingest.tasks import Work
from tests.integration.lake_support import open_newest
from tests.integration.node_support import Steps, make_node, spent, tasks
from tests.unit.ingest.markets import FIRST, small_market, trading_days
from trademl.cli.build import build

# exchange_calendars 4.13 on pandas 3.1 warns of its own doing.
pytestmark = [
    pytest.mark.accept,
    pytest.mark.filterwarnings("ignore:Series.values returning"),
]

WEEK = trading_days()[-5:]
FAULTS = "429:0.05,5xx:0.05;seed=5;retry_after=1"
OUTAGE = WEEK[2]
EVENING, LATE, NIGHT = time(21, 30), time(23, 50), time(5, 30)
"""UTC: after New York's close, before the UTC day ends, and before 02:00 in New York."""


def at(day, moment):
    return datetime.combine(day, moment, UTC)


def drive(node, steps, until, forwarded=None):
    """The loops every five minutes up to a time, the queue worked in between."""
    while steps.wall < until:
        forwarded = tick(node, forwarded)
        work(node)
        steps.wait(min(300, (until - steps.wall).total_seconds()))
    tick(node, forwarded)
    work(node)


def repeated_files(data):
    """Landed files that hold the same window of the same symbols of one day of landing."""
    asked = Counter(
        (endpoint.path, found.start, found.end, found.symbols, found.ingested_at.date())
        for endpoint in ENDPOINTS.values()
        for found in bookmarks.landed(data, endpoint)
        if found.start is not None
    )
    return {what: times for what, times in asked.items() if times > 1}


def not_green(data):
    with open_newest(data) as connection:
        return connection.execute(
            "select table_name, symbol, dt, status, qc_code from quality.partition_status"
            " where status <> 'GREEN' order by all"
        ).fetchall()


def test_a_week(tmp_path):
    market, data = small_market(tmp_path / "market"), tmp_path / "data"
    steps = Steps(at(WEEK[0], EVENING))
    versions, same_day, calls, most_spent = [], [], 0, Counter()

    def nightly(folder, clock):
        versions.append(build(folder, clock).name)
        return versions[-1]

    for number, day in enumerate(WEEK):
        down = "alpaca/5xx:1" if day == OUTAGE else FAULTS
        steps.wait((at(day, EVENING) - steps.wall).total_seconds())
        with ReplayServer(market, at(day, EVENING), down) as server:
            node = make_node(data, server, steps, nightly)
            if number == 0:
                seed(node)
                without_nightly(node)
            with alone(node):
                drive(node, steps, at(day, LATE))
            same_day.append(ages(node)["equities_bars_1d"].newest == day)
            for vendor, count in spent(node).items():
                most_spent[vendor] = max(most_spent[vendor], count)
                assert count <= node.registry.limits(vendor).daily_cap
            calls += server.requests
        morning = day + timedelta(days=1)
        with ReplayServer(market, at(morning, NIGHT), FAULTS) as server:
            node = make_node(data, server, steps, nightly)
            steps.wait((at(morning, NIGHT) - steps.wall).total_seconds())
            with alone(node):
                drive(node, steps, at(morning, NIGHT) + timedelta(minutes=40))
            calls += server.requests
    columns = "dataset, symbol, kind, status, last_error, substr(updated_at, 1, 10)"
    left = [row for row in tasks(node, columns) if row[3] != "DONE"]
    figures = {
        "sessions": len(WEEK),
        "landed the same day": same_day,
        "versions": versions,
        "calls": calls,
        "most calls of a day": dict(most_spent),
        "tasks": len(tasks(node)),
        "not done": left,
        "not GREEN": [[str(cell) for cell in row] for row in not_green(data)],
        "asked twice in a day": len(repeated_files(data)),
    }
    print(json.dumps(figures, indent=1))
    assert same_day == [day != OUTAGE for day in WEEK]
    assert len(versions) == len(WEEK)
    assert not repeated_files(data)
    assert not_green(data) == []
    # Only what the vendor failed five times on the evening of the outage is given up, and said so;
    # the next day's tasks filled the same sessions.
    gone = [row for row in left if row[3] == "FAILED"]
    assert gone
    assert all(row[5] == OUTAGE.isoformat() and "HTTP 50" in row[4] for row in gone)
    assert not [row for row in left if row[3] != "FAILED" and row[2] != "QC_PROBE"]


def seed(node):
    """History up to the week."""
    with node.queue() as queue:
        for dataset, symbol in (
            *(("equities_bars_1d", name) for name in ("AAA", "BBB", "BRK.B")),
            *(("crypto_bars_1d", name) for name in ("BTCUSDT", "ETHUSDT")),
        ):
            queue.add([Work(dataset, FIRST, WEEK[0], "BOOTSTRAP", symbol)])


def without_nightly(node):
    """The nightly work of the night before is done: nothing is landed yet that could be built."""
    with node.control() as control:
        for name in (HEAVY, MAINTENANCE):
            finish_run(control, start_run(control, name, {}), "SUCCEEDED")
