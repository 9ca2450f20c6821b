"""10,000 random schedules: whatever is asked in whatever order, the queue does what the model does."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from ingest.control.budget import Verdict
from ingest.control.clock import moment_of
from ingest.control.database import Control
from ingest.control.limits import NodeLimits
from ingest.control.queue import LeaseLost, Queue
from ingest.control.tasks import KINDS, Task
from tests.support.queue_model import Model
from tests.support.queues import FakeTime, capability, registry, work

SCHEDULES, BATCHES, STEPS = 10_000, 10, 14
EVERY_DAY = 2
"""Batches of every test run, some 4 s each; `make accept` runs all."""
LONGEST = 4
ROWS = (
    capability("a", "bars", hard_rpm=60, burst_limit=3, soft_daily_cap=20, max_days_per_task=LONGEST),
    capability("b", "bars", hard_rpm=120, burst_limit=4, soft_daily_cap=12, max_days_per_task=LONGEST),
    capability("b", "macros", hard_rpm=120, burst_limit=4, soft_daily_cap=8, max_days_per_task=LONGEST),
)  # fmt: skip
TABLES = ("leases", "backfill_queue", "cooldowns", "vendor_buckets", "vendor_days", "node_clock")
WAITS = (0.5, 1, 10, 60, 120, 299.5, 300, 301, 3600, 20_000, 86_400)
JUMPS = (-400 * 86_400, -90_000, -3600, -2, 2, 3600, 90_000, 400 * 86_400)


def providers(task):
    """Symbol B is served by b alone, symbol N by nobody."""
    if task.symbol == "N":
        return []
    names = [row.vendor for row in ROWS if row.dataset == task.dataset]
    return ["b"] if task.symbol == "B" else names


class Schedule:
    """One queue and its model, driven by the same random choices."""

    def __init__(self, control, time, seed):
        self.random = random.Random(seed)
        self.time, self.control = time, control
        self.queue = Queue(control, registry(*ROWS), NodeLimits(max_inflight_default=2))
        self.model = Model(ROWS, providers, 2, LONGEST, time.steady, self.wall_at_zero())
        self.leases = []
        with control.transaction() as tx:
            for table in TABLES:
                tx.con.execute(f"delete from {table}")
            tx.con.execute("delete from sqlite_sequence")

    def wall_at_zero(self):
        return self.time.wall - timedelta(seconds=self.time.steady)

    def run(self):
        steps = (
            [self.add] * 4 + [self.lease] * 7 + [self.report] * 5
            + [self.passes] * 4 + [self.jumps, self.freeze, self.prune, self.abandon]
        )  # fmt: skip
        for _ in range(STEPS):
            step = self.random.choice(steps)
            if step in (self.passes, self.jumps):
                step()
                continue
            self.look()
            step()
            self.compare()

    def compare(self):
        now = self.model.now()
        with self.control.transaction() as tx:
            assert tx.now == now
            rows = tx.con.execute("select * from backfill_queue order by id").fetchall()
            held = tx.con.execute("select id, task_id, vendor from leases order by id").fetchall()
            spent = tx.con.execute("select vendor, dataset, day, spent from vendor_days").fetchall()
        assert [self.shown(row, now) for row in rows] == [
            self.expected(t) for t in self.model.tasks
        ]
        assert held == sorted(
            (key, task.number, vendor)
            for key, (task, vendor) in self.model.leases.items()
            if task.status == "LEASED"
        )
        model = {(v, d, str(day)): calls for (v, d, day), calls in self.model.spent.items()}
        assert {row[:3]: row[3] for row in spent} == model

    def shown(self, row, now):
        left = [moment_of(text) - now if text else None for text in (row[10], row[11])]
        seconds = [round(wait.total_seconds(), 6) if wait is not None else None for wait in left]
        return (*row[:10], *seconds, row[12], moment_of(row[13]))

    def expected(self, task):
        left = [
            None if at is None else round(at - self.model.seconds, 6)
            for at in (task.ends, task.not_before)
        ]
        return (
            task.number, task.dataset, task.symbol, str(task.start), str(task.end), task.kind,
            task.priority, task.status, task.attempts, task.owner, *left, task.error, task.created,
        )  # fmt: skip

    def look(self):
        self.model.seconds = self.time.steady
        self.model.sees(self.wall_at_zero())

    def add(self):
        start = self.random.randint(1, 10)
        piece = work(
            self.random.choice([None, "A", "A", "B", "N"]),
            start,
            start + self.random.randint(1, 9),
            self.random.choice(KINDS),
            self.random.choice(["bars", "bars", "macros"]),
            in_stage_window=self.random.random() < 0.8,
        )
        assert self.queue.add([piece]) == self.model.add(piece)

    def lease(self):
        owner = self.random.choice(["one", "two"])
        kinds = KINDS if self.random.random() < 0.8 else ("FORWARD",)
        lease = self.queue.lease_next(owner, providers, kinds=kinds)
        expected = self.model.lease(owner, kinds)
        if expected is None:
            assert lease is None
            return
        task, vendor = expected
        symbol = task.symbol or None
        assert (lease.task, lease.vendor, lease.owner) == (
            Task(task.number, task.dataset, symbol, task.start, task.end, task.kind,
                 task.priority, task.attempts),
            vendor,
            owner,
        )  # fmt: skip
        self.model.give(lease.id, task, vendor)
        self.leases.append(lease)

    def report(self):
        """The holder of some lease, perhaps of one long lost, says how it went."""
        if not self.leases:
            return
        lease = self.random.choice(self.leases[-3:])
        name, *arguments = self.random.choice(
            [
                ("renew",), ("complete",), ("complete",), ("fail", "no"), ("fail", "no"),
                ("defer", "budget"), ("defer", "no_capacity"), ("not_entitled",), ("charge", 2),
                ("refund",),
            ]
        )  # fmt: skip
        given = [providers] if name == "not_entitled" else arguments
        if not self.model.holds(lease.id):
            with pytest.raises(LeaseLost):
                getattr(self.queue, name)(lease, *given)
            return
        found = getattr(self.queue, name)(lease, *given)
        expected = getattr(self.model, name)(lease.id, *arguments)
        if name == "charge":
            assert (found is Verdict.GRANTED) == expected

    def passes(self):
        self.time.passes(self.random.choice(WAITS))

    def jumps(self):
        self.time.jumps(self.random.choice(JUMPS))

    def freeze(self):
        vendor, seconds = self.random.choice(["a", "b"]), self.random.choice([10, 1000])
        self.queue.budget.freeze(vendor, seconds)
        self.model.freeze(vendor, seconds)

    def prune(self):
        assert self.queue.prune(2, 1) == self.model.prune(2, 1)

    def abandon(self):
        """The node of one owner begins anew: its earlier self is dead."""
        assert self.queue.abandon("one") == self.model.abandon("one")


@pytest.mark.parametrize(
    "batch",
    [pytest.param(n, marks=[pytest.mark.accept] if n >= EVERY_DAY else []) for n in range(BATCHES)],
)
def test_the_queue_does_what_the_model_does(batch):
    for number in range(SCHEDULES // BATCHES):
        seed = batch * SCHEDULES + number
        if number % 100 == 0:
            time = FakeTime()
            control = Control(Path(":memory:"), time.clock(), durable=False)
        try:
            Schedule(control, time, seed).run()
        except Exception as error:
            raise AssertionError(f"schedule {seed}: {error}") from error
