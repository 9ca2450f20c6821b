"""A vendor of few calls a day, with the project's own registry: nothing daily waits for days."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ingest.catalog.capabilities import Registry, read_capabilities
from ingest.control.tasks import Work
from tests.support.queues import FakeTime, Node

FREE = Registry.of(read_capabilities()).rows
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 4


@pytest.mark.parametrize(
    ("vendor", "bulk", "calls", "daily"),
    [
        ("alphavantage", "earnings_history", 1, "universe_pit"),
        ("fmp", "fundamentals_statements", 3, "earnings_calendar"),
    ],
)
def test_one_call_for_the_whole_market_is_served_the_same_day(vendor, bulk, calls, daily):
    node = Node(*FREE, time=FakeTime(MIDNIGHT))
    names = [f"S{number:03}" for number in range(200)]
    node.queue.add([_work(bulk, MIDNIGHT.date(), name) for name in names])
    served = []
    for night in range(DAYS):
        today = (MIDNIGHT + timedelta(days=night)).date()
        # The list of a day is there in the early morning; until then bulk has the vendor.
        served += _until(MIDNIGHT + timedelta(days=night, hours=3), node, vendor, calls)
        node.queue.add([_work(daily, today)])
        served += _until(MIDNIGHT + timedelta(days=night + 1), node, vendor, calls)
    assert [start for dataset, start, _ in served if dataset == daily] == [
        MIDNIGHT.date() + timedelta(days=night) for night in range(DAYS)
    ]
    assert all(at == start for dataset, start, at in served if dataset == daily)
    done = sum(dataset == bulk for dataset, *_ in served)
    assert done == min(len(names), DAYS * {"alphavantage": 20, "fmp": 71}[vendor])


def _work(dataset, day, symbol=None):
    return Work(dataset, day, day + timedelta(days=1), "FORWARD", symbol)


def _until(end, node, vendor, calls) -> list[tuple[str, date, date]]:
    """Dataset and day of what was done by then, and the day it was done."""
    done = []
    while node.time.wall < end:
        lease = node.queue.lease_next("me", lambda _: [vendor], vendors=[vendor])
        if lease is not None:
            pages = calls - 1 if lease.task.symbol else 0
            if pages and node.queue.charge(lease, pages).value != "granted":
                node.queue.defer(lease, "budget")
                continue
            node.queue.complete(lease)
            done.append((lease.task.dataset, lease.task.start, node.time.wall.date()))
        node.time.passes(60 if lease is None else 1)
    return done
