"""A node in a file or in memory, with clocks that tests move."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ingest.catalog.capabilities import Capability, Registry
from ingest.control.clock import NodeClock
from ingest.control.database import Control
from ingest.control.limits import NodeLimits
from ingest.control.queue import Queue
from ingest.control.tasks import Work

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = date(2026, 3, 2)
MANY = NodeLimits(max_inflight_default=1_000_000)


class FakeTime:
    """Time passes on both clocks; a jump moves the wall clock alone."""

    def __init__(self, wall=NOON):
        self.wall, self.steady, self.boot = wall, 1000.0, "boot-1"

    def clock(self):
        return NodeClock(lambda: self.wall, lambda: self.steady, self.boot)

    def passes(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds

    def jumps(self, seconds):
        self.wall += timedelta(seconds=seconds)

    def reboots(self, seconds_off, wall_jump=0):
        self.wall += timedelta(seconds=seconds_off + wall_jump)
        self.steady, self.boot = 5.0, self.boot + "+"


def capability(vendor="acme", dataset="equities_bars_1d", **changes):
    row = {
        "endpoint": "/bars",
        "hard_rpm": 60_000,
        "soft_daily_cap": 1_000_000,
        "priority": 1,
        "plan": "free",
        "uniqueness": 0.0,
        "max_days_per_task": 30,
    }
    return Capability(dataset=dataset, vendor=vendor, **{**row, **changes})


def registry(*rows):
    return Registry(rows or (capability(), capability(dataset="macros")))


def work(symbol="A", start=1, end=5, kind="BOOTSTRAP", dataset="equities_bars_1d", **options):
    """Work on days of January 2020, the last one excluded."""
    first = date(2020, 1, 1)
    days = timedelta(days=start - 1), timedelta(days=end - 1)
    return Work(dataset, first + days[0], first + days[1], kind, symbol, **options)


class Node:
    """One queue under test.

    Attributes:
        time: Its clocks.
        control: The control file.
        queue: The queue.
    """

    def __init__(self, *rows, limits=MANY, time=None, path=Path(":memory:")):
        self.time = time or FakeTime(NOON - timedelta(seconds=60))
        self.registry, self.limits, self.path = registry(*rows), limits, path
        self.open()
        if time is None:
            self.wait(60)

    def wait(self, seconds):
        """Time passes, in the last minute with the node awake, so that buckets fill."""
        self.time.passes(seconds - 60)
        for vendor in self.registry.vendors:
            self.queue.budget.state(vendor)
        self.time.passes(60)

    def open(self):
        self.control = Control(self.path, self.time.clock(), durable=False)
        self.queue = Queue(self.control, self.registry, self.limits)

    def restart(self):
        self.control.close()
        self.open()

    def providers(self, task):
        return [row.vendor for row in self.registry.of_dataset(task.dataset)]

    def lease(self, owner="me", **options):
        return self.queue.lease_next(owner, self.providers, **options)

    def leases(self, **options):
        """Leases until nothing may run."""
        found = []
        while (lease := self.lease(**options)) is not None:
            found.append(lease)
        return found

    def rows(self, columns="status, attempts, next_not_before, last_error"):
        with self.control.transaction() as tx:
            return tx.con.execute(f"select {columns} from backfill_queue order by id").fetchall()

    def status(self):
        return [row[0] for row in self.rows("status")]
