"""A million queue operations beside the bound: bare SQLite executing the very same statements.

Run it with ``python -m tests.bench.queue [--operations N]``. The two take turns in one run, batch by
batch, each on a file of its own: ours through ``Queue``, the bound from a tape of the statements
that ours executes (recorded on a third file, not timed), reading all answers.
What is between them is Python: the queue's own and nothing else. Commits are not flushed to the
disk one by one, for both: 3 ms of it each would hide all other differences.
"""

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from ingest.catalog.capabilities import Capability, Registry
from ingest.control.clock import NodeClock
from ingest.control.database import Control
from ingest.control.limits import NodeLimits
from ingest.control.queue import Queue
from ingest.control.tasks import Lease, Task, Work

OPERATIONS = 1_000_000
BATCH, AT_ONCE = 10_000, 10
KINDS = ("BOOTSTRAP", "GAP", "FORWARD", "QC_PROBE")
PER_TASK = 4
"""Operations on one task: add, lease, renew, complete."""

VENDORS = Registry(
    tuple(
        Capability(dataset, vendor, "/x", 60_000_000, 1_000_000_000, priority, "free", 0.0, 30)
        for dataset, vendor, priority in (
            ("equities_bars_1d", "one", 1),
            ("equities_bars_1d", "two", 2),
            ("equities_bars_1m", "one", 1),
        )
    )
)

Tape = list[tuple[str, Any]]


class Recording(sqlite3.Connection):
    """Writes every statement to a tape before it is executed."""

    tape: Tape

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:  # type: ignore[override]
        """As the base class does."""
        if hasattr(self, "tape"):
            self.tape.append((sql, parameters))
        return super().execute(sql, parameters)


class Stopwatch:
    """Adds up the time of its ``with`` blocks; CPU seconds tell more on a busy machine."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def __enter__(self) -> None:
        self.wall -= time.perf_counter()
        self.cpu -= time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter()
        self.cpu += time.process_time()


class Worker:
    """A queue whose clock ticks a millisecond with every reading."""

    def __init__(self, path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> None:
        self._seconds = 1000.0
        self.connection: sqlite3.Connection | None = None

        def connect(*args: Any, **options: Any) -> sqlite3.Connection:
            self.connection = sqlite3.connect(*args, factory=factory, **options)
            return self.connection

        began = datetime(2026, 1, 1, tzinfo=UTC)
        clock = NodeClock(lambda: began + timedelta(seconds=self._seconds), self._tick)
        self.control = Control(path, clock, durable=False, connect=connect)
        self.queue = Queue(self.control, VENDORS, NodeLimits(max_inflight_default=1000))
        for vendor in VENDORS.vendors:
            self.queue.budget.state(vendor)
        self._seconds += 60

    def _tick(self) -> float:
        return self._seconds

    def work(self, first: int, tasks: int) -> None:
        """Adds tasks, then leases, renews and completes them, ten at once."""
        self.queue.add(_works(first, tasks))
        for _ in range(0, tasks, AT_ONCE):
            leases = [self._lease() for _ in range(AT_ONCE)]
            for lease in leases:
                self._seconds += 0.001
                self.queue.complete(self.queue.renew(lease))

    def _lease(self) -> Lease:
        self._seconds += 0.001
        lease = self.queue.lease_next("bench", _providers)
        assert lease is not None
        return lease


def bench_queue(operations: int = OPERATIONS) -> dict[str, object]:
    """Prints and returns one JSON line: both rates, and how many times the bound's time ours is.

    Args:
        operations: Adds, leases, renewals and completions together.
    """
    batch = min(BATCH, operations) // PER_TASK // AT_ONCE * AT_ONCE
    batches = max(1, operations // PER_TASK // batch)
    ours, bound = Stopwatch(), Stopwatch()
    statements = 0
    with tempfile.TemporaryDirectory() as folder:
        timed = Worker(Path(folder) / "ours.sqlite")
        taped = Worker(Path(folder) / "taped.sqlite", Recording)
        bare = Worker(Path(folder) / "bare.sqlite")
        assert isinstance(taped.connection, Recording)
        assert bare.connection is not None
        for number in range(batches):
            with ours:
                timed.work(number * batch, batch)
            taped.connection.tape = []
            taped.work(number * batch, batch)
            statements += len(taped.connection.tape)
            with bound:
                _replay(bare.connection, taped.connection.tape)
        assert timed.queue.counts() == bare.queue.counts(), "the bound did other work"
        assert sum(timed.queue.counts().values()) == batches * batch
    done = batches * batch * PER_TASK
    line: dict[str, object] = {
        "bench": "queue",
        "operations": done,
        "statements": statements,
        "ours_s": round(ours.wall, 3),
        "ours_per_s": round(done / ours.wall),
        "bare_sqlite_s": round(bound.wall, 3),
        "bare_sqlite_per_s": round(done / bound.wall),
        "ratio": round(ours.wall / bound.wall, 2),
        "cpu_ratio": round(ours.cpu / bound.cpu, 2),
    }
    print(json.dumps(line), flush=True)
    return line


def _replay(connection: sqlite3.Connection, tape: Tape) -> None:
    """Executes the statements of a tape."""
    execute = connection.execute
    for sql, parameters in tape:
        cursor = execute(sql, parameters)
        if cursor.description is not None:
            cursor.fetchall()


def _works(first: int, tasks: int) -> Iterator[Work]:
    begin = date(2000, 1, 1)
    for number in range(first, first + tasks):
        dataset = "equities_bars_1m" if number % 5 == 0 else "equities_bars_1d"
        start = begin + timedelta(days=number // 1000)
        yield Work(
            dataset, start, start + timedelta(days=1), KINDS[number % 4], f"S{number % 1000}"
        )


def _providers(task: Task) -> list[str]:
    return ["one"] if task.dataset == "equities_bars_1m" else ["one", "two"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", type=int, default=OPERATIONS)
    bench_queue(parser.parse_args().operations)
